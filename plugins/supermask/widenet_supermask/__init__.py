"""Supermasks: subnetworks that work although not one weight was ever trained.

Source: Ramanujan, Wortsman, Kembhavi, Farhadi and Rastegari, "What's hidden in a randomly weighted neural network?", CVPR 2020.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import attrs
from attrs.validators import and_, ge, gt, le

from widenet import Method, Train, hookimpl, opt

Initialiser = Literal[
    "kaiming_normal",
    "kaiming_uniform",
    "signed_constant",
    "unsigned_constant",
    "xavier_normal",
    "xavier_constant",
    "standard",
]


def one_minus(removed: float) -> float:
    """Fraction of each layer's weights that is removed."""
    return round(1 - removed, 12)  # 1 - 0.9 is 0.1


@attrs.frozen(kw_only=True)
class Supermask(Train):
    """Options of ``wn run supermask``."""

    keep: float = opt(
        0.5,
        "Fraction of each layer's weights that is KEPT (not removed).",
        validator=and_(gt(0), le(1)),
        also={"sparsity": one_minus},
    )
    init: Initialiser = opt("signed_constant", "Distribution of the random weights.")
    fan: Literal["fan_in", "fan_out"] = opt("fan_in", "Fan that sets the scale of kaiming and (un)signed constant weights.")
    scale_fan: bool = opt(
        False,
        "Count only kept weights in the fan (kaiming_normal and (un)signed constants), so that masking shrinks no activations.",
    )
    epochs: int = opt(30, "Passes over the training images.", validator=ge(1))
    batch_size: int = opt(64, "Images per optimiser step.", validator=ge(1))
    lr: float = opt(0.2, "Peak learning rate of the scores.", validator=gt(0))


PAPER = {
    "epochs": 100,
    "batch_size": 128,
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "schedule": "cosine",
    "init": "signed_constant",
}
"""The recipe for CIFAR-10 in the paper's code."""


def supermask(run: Any, net: Any, data: Any, config: Supermask) -> dict[str, Any]:
    """Find a subnetwork of random weights by edge-popup; the weights are never trained.

    Every weight gets a score. Each forward pass uses the weights with the largest |score| of their layer; gradients reach all
    scores, as if the choice were not there, so that dropped weights can pop up again.
    """
    from widenet_supermask.method import find_mask

    return find_mask(run, net, data, config)


@hookimpl
def methods() -> Iterable[Method]:
    """``wn run supermask``."""
    yield Method("supermask", supermask, Supermask, presets={"paper": PAPER})
