"""The study in one command: train."""

from __future__ import annotations

from typing import Any

from widenet_frivolous.config import Frivolous
from widenet_frivolous.training import train_network


def carry_out(run: Any, net: Any, data: Any, config: Frivolous) -> dict[str, Any]:
    """Train unless told not to; the result says how well.

    Raises:
        UsageError: as :func:`.training.train_network`.
    """
    return train_network(run, net, data, config) if config.train else {}
