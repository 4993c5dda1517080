"""Which layers are studied, with their units and the weights that feed them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from widenet.capture import INPUT, glance, matching
from widenet.errors import UsageError
from widenet.masks import LAYERS
from widenet_frivolous.ablation import Ablation
from widenet_frivolous.points import Point, axis, reached

ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Softplus, nn.Hardswish, nn.Hardtanh, nn.Sigmoid, nn.Hardsigmoid, nn.Tanh),
)
LOOK = 2
"""Samples by which it is seen which modules are called, and which puts out the logits."""


def studied_layers(net: nn.Module, split: Any, patterns: Sequence[str] = ()) -> list[str]:
    """Paths of the layers that match the patterns or, without any, of all activation modules, in the network's order.

    Of the latter those are left out that a forward pass does not call, and one whose output is the logits. A network that has
    none, as its activations are functions, is studied by what its linear and convolutional layers but the first are given.

    Raises:
        UsageError: a pattern matches nothing, or the network has none of either.
    """
    if patterns:
        return matching(net, patterns)
    kinds = {path: module for path, module in net.named_modules() if path and isinstance(module, (*ACTIVATIONS, *LAYERS))}
    outputs, logits = glance(net, split, list(kinds), LOOK)
    activations = [path for path, module in kinds.items() if path in outputs and isinstance(module, ACTIVATIONS)]
    if hidden := [path for path in activations if not _same(outputs[path], logits)]:
        return hidden
    weighted = [path + INPUT for path in outputs if isinstance(kinds[path], LAYERS)][1:]
    if not weighted:
        raise UsageError("the network has no activation modules, and no two weighted layers; name layers with --layer")
    return weighted


@attrs.frozen
class Layer:
    """A point with its number of units, and the weighted module that feeds it (empty where none of as many units does)."""

    point: Point
    units: int
    feeding: str

    @property
    def name(self) -> str:
        """The point's name."""
        return self.point.name


def perturbed_layers(net: nn.Module, engine: Ablation, patterns: Sequence[str]) -> list[Layer]:
    """The :func:`studied_layers` but the logits, in the order in which a forward pass reaches them.

    Raises:
        UsageError: as there; a layer is not reached or has no units, or only the logits are left.
    """
    points = [Point(name) for name in studied_layers(net, engine.split, patterns)]
    points.sort(key=lambda point: reached(engine.calls, point))
    outputs, logits = glance(net, engine.split, [point.name for point in points], LOOK)
    if silent := [point.name for point in points if point.name not in outputs]:
        raise UsageError(f"layer {silent[0]} is no tensor in a forward pass; choose the layers inside it, or after it")
    points = [point for point in points if not _same(outputs[point.name], logits)]
    if not points:
        raise UsageError("only the logits are left to perturb; choose layers before them with --layer")
    return [_layer(net, engine, point, outputs[point.name]) for point in points]


def weighted_layers(net: nn.Module, engine: Ablation, patterns: Sequence[str]) -> list[Layer]:
    """The linear and convolutional layers that match, all but the last one (the read-out) without patterns.

    The point of such a layer is what it is given; it feeds itself.

    Raises:
        UsageError: there is none.
    """
    called = list(dict.fromkeys(c.path for c in engine.calls if isinstance(net.get_submodule(c.path), LAYERS)))
    chosen = set(matching(net, patterns)) if patterns else set(called[:-1])
    found: dict[str, Any] = {path: net.get_submodule(path) for path in called if path in chosen}
    if not found and patterns:
        raise UsageError("no layer that matches has weights; name linear or convolutional layers with --layer")
    if not found:
        raise UsageError("the network has no weighted layer before its last one; name layers with --layer")
    return [Layer(Point(path + INPUT), len(module.weight), path) for path, module in found.items()]


def _same(output: Tensor, logits: Tensor) -> bool:
    return output.shape == logits.shape and torch.equal(output, logits)


def _layer(net: nn.Module, engine: Ablation, point: Point, value: Tensor) -> Layer:
    if value.ndim < 2:
        raise UsageError(f"layer {point.name} has one number a sample and no units; choose another layer")
    size = value.shape[axis(net, value)]
    return Layer(point, size, _feeding(net, engine, point, size))


def _feeding(net: nn.Module, engine: Ablation, point: Point, size: int) -> str:
    """The last weighted module of ``size`` units that is done when the point is reached."""
    when = reached(engine.calls, point)
    for call in reversed(engine.calls):
        module: Any = net.get_submodule(call.path)
        if call.ended <= when and isinstance(module, LAYERS) and len(module.weight) == size:
            return call.path
    return ""
