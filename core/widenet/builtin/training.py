"""Plain training."""

from __future__ import annotations

from typing import Any

from widenet.components import Train


def train(run: Any, net: Any, data: Any, config: Train) -> None:
    """Train every weight of any network on any data."""
    from widenet.train import fit

    for _ in fit(run, net, data, config):
        pass
