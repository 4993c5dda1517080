"""Inception-v3 at any width: every branch is scaled, or those of one block alone (Szegedy et al. 2016).

A branch is written as its steps, one after the other: :class:`Conv`, a pool, or a :class:`Fork` whose ends are joined.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
import torch
from torch import Tensor, nn

from widenet_frivolous.custom_layers import make_activation, scaled
from widenet_frivolous.initialise import draw_cut, initialise, layers

if TYPE_CHECKING:
    from widenet_frivolous.models import Inception

SMALLEST = 75
"""Side of the smallest images that leave something to every layer, in pixels."""


@attrs.frozen
class Conv:
    """A convolution to ``outputs`` channels, with batch norm and activation; of stride 2 it has no padding."""

    outputs: int
    kernel: tuple[int, int]
    stride: int = 1
    padded: bool = True


@attrs.frozen
class Fork:
    """Two convolutions of the same input, 1x3 and 3x1, side by side."""

    outputs: int


Step = Conv | Fork | str
Branches = tuple[tuple[Step, ...], ...]


def _conv(outputs: int, height: int, width: int | None = None) -> Conv:
    return Conv(outputs, (height, width or height))


def _halve(outputs: int) -> Conv:
    return Conv(outputs, (3, 3), 2, padded=False)


def _a(pooled: int) -> Branches:
    return (
        (_conv(64, 1),),
        (_conv(48, 1), _conv(64, 5)),
        (_conv(64, 1), _conv(96, 3), _conv(96, 3)),
        ("average", _conv(pooled, 1)),
    )


def _c(c: int) -> Branches:
    return (
        (_conv(192, 1),),
        (_conv(c, 1), _conv(c, 1, 7), _conv(192, 7, 1)),
        (_conv(c, 1), _conv(c, 7, 1), _conv(c, 1, 7), _conv(c, 7, 1), _conv(192, 1, 7)),
        ("average", _conv(192, 1)),
    )


_B: Branches = ((_halve(384),), (_conv(64, 1), _conv(96, 3), _halve(96)), ("maximum",))
_D: Branches = (
    (_conv(192, 1), _halve(320)),
    (_conv(192, 1), _conv(192, 1, 7), _conv(192, 7, 1), _halve(192)),
    ("maximum",),
)
_E: Branches = (
    (_conv(320, 1),),
    (_conv(384, 1), Fork(384)),
    (_conv(448, 1), _conv(384, 3), Fork(384)),
    ("average", _conv(192, 1)),
)
STEM: dict[str, Conv | str] = {
    "conv0": _halve(32),
    "conv1": Conv(32, (3, 3), padded=False),
    "conv2": _conv(64, 3),
    "pool1": "maximum",
    "conv3": _conv(80, 1),
    "conv4": Conv(192, (3, 3), padded=False),
    "pool2": "maximum",
}
MIXED: dict[str, Branches] = {
    "mixed_35a": _a(32),
    "mixed_35b": _a(64),
    "mixed_35c": _a(64),
    "mixed_17a": _B,
    "mixed_17b": _c(128),
    "mixed_17c": _c(160),
    "mixed_17d": _c(160),
    "mixed_17e": _c(192),
    "mixed_8a": _D,
    "mixed_8b": _E,
    "mixed_8c": _E,
}
"""The blocks by the side of their maps for images of 299 pixels, as the original calls them."""
ENDS = "mixed_35c"
"""The block that ``width_end`` scales."""


class Side(nn.ModuleList):
    """Modules of one input, whose outputs are joined along the channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, c, h, w)`` to ``(n, sum of channels, h', w')``."""
        return torch.cat([branch(x) for branch in self], 1)


class Shift(nn.BatchNorm2d):
    """Batch norm of epsilon 0.001 that learns a shift but no scale."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-3)
        self.register_parameter("weight", None)

    def reset_parameters(self) -> None:
        """Clear statistics and shift."""
        self.reset_running_stats()
        nn.init.zeros_(self.bias)


def inception_v3(channels: int, classes: int, config: Inception) -> nn.Sequential:
    """Build ``conv0`` to ``conv4``, ``mixed_35a`` to ``mixed_8c`` and ``logits``, without an auxiliary classifier.

    Maps ``(n, channels, h, w)``, sides of at least 75, to ``(n, classes)`` logits. The study captures and ablates what these
    16 modules put out. In the original one branch of ``mixed_17d`` kept its 192 channels at every width by mistake.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = channels
    for name, step in STEM.items():
        parts[name], inputs = _step(step, inputs, config.width, config.activation)
    for name, branches in MIXED.items():
        width = config.width * (config.width_end if name == ENDS else 1)
        parts[name], inputs = _mixed(branches, inputs, width, config.activation)
    parts |= {"avgpool": nn.AdaptiveAvgPool2d(1), "drop": nn.Dropout(config.dropout), "flatten": nn.Flatten()}
    logits = parts["logits"] = nn.Linear(inputs, classes)
    net = nn.Sequential(parts)
    if config.init != "study":
        initialise(net, config.init)
    else:
        for layer in layers(net).values():
            draw_cut(layer.weight, 0.1)
    nn.init.zeros_(logits.bias)
    return net


def _mixed(branches: Sequence[Sequence[Step]], inputs: int, width: float, activation: str) -> tuple[nn.Module, int]:
    """The branches side by side, and the channels that come out."""
    side, total = Side(), 0
    for steps in branches:
        branch, outputs = nn.Sequential(), inputs
        for step in steps:
            module, outputs = _step(step, outputs, width, activation)
            branch.append(module)
        side.append(branch)
        total += outputs
    return side, total


def _step(step: Step, inputs: int, width: float, activation: str) -> tuple[nn.Module, int]:
    """One step of a branch, and the channels that come out."""
    if step == "average":
        return nn.AvgPool2d(3, 1, padding=1), inputs
    if step == "maximum":
        return nn.MaxPool2d(3, 2), inputs
    if isinstance(step, Fork):
        return _mixed([[_conv(step.outputs, 1, 3)], [_conv(step.outputs, 3, 1)]], inputs, width, activation)
    assert isinstance(step, Conv)
    outputs = scaled(step.outputs, width)
    padding = (step.kernel[0] // 2, step.kernel[1] // 2) if step.padded else 0
    conv = nn.Conv2d(inputs, outputs, step.kernel, step.stride, padding, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, bn=Shift(outputs), act=make_activation(activation))), outputs
