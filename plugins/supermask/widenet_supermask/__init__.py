"""Supermasks: subnetworks that work although not one weight was ever trained.

Source: Ramanujan, Wortsman, Kembhavi, Farhadi and Rastegari, "What's hidden in a randomly weighted neural network?", CVPR 2020.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from widenet import Method, hookimpl
from widenet_supermask.config import Supermask
from widenet_supermask.presets import BASELINES, PRESETS


def supermask(run: Any, net: Any, data: Any, config: Supermask) -> dict[str, Any]:
    """Find a subnetwork of random weights by edge-popup, or by another variant; the weights are never trained.

    Every weight gets a score. Each forward pass uses the weights with the largest |score| of their layer; gradients reach all
    scores, as if the choice were not there, so that dropped weights can pop up again.
    """
    from widenet_supermask.method import find_mask

    return find_mask(run, net, data, config)


def _original(text: str) -> tuple[Mapping[str, Any], Sequence[str]]:
    """Read a configuration file of the paper's code; only then is a reader of YAML needed."""
    from widenet_supermask.original import read_original

    return read_original(text)


@hookimpl
def methods() -> Iterable[Method]:
    """``wn run supermask``."""
    readers = {".yml": _original, ".yaml": _original}
    yield Method("supermask", supermask, Supermask, presets=PRESETS, readers=readers)


@hookimpl
def presets() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Dense training as the paper configures it, to compare with."""
    return {"train": BASELINES}
