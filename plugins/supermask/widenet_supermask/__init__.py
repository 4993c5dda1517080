"""Supermasks: subnetworks that work although not one weight was ever trained.

Source: Ramanujan, Wortsman, Kembhavi, Farhadi and Rastegari, "What's hidden in a randomly weighted neural network?", CVPR 2020.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from widenet import Method, hookimpl
from widenet_supermask.config import Supermask
from widenet_supermask.presets import PRESETS


def supermask(run: Any, net: Any, data: Any, config: Supermask) -> dict[str, Any]:
    """Find a subnetwork of random weights by edge-popup, or by another variant; the weights are never trained.

    Every weight gets a score. Each forward pass uses the weights with the largest |score| of their layer; gradients reach all
    scores, as if the choice were not there, so that dropped weights can pop up again.
    """
    from widenet_supermask.method import find_mask

    return find_mask(run, net, data, config)


@hookimpl
def methods() -> Iterable[Method]:
    """``wn run supermask``."""
    yield Method("supermask", supermask, Supermask, presets=PRESETS)
