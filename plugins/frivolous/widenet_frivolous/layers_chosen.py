"""Which layers are perturbed, with their units and the weights that feed them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from widenet.capture import INPUT
from widenet.errors import UsageError
from widenet.masks import LAYERS
from widenet_frivolous.ablation import Ablation, Evaluating
from widenet_frivolous.hidden import studied_layers
from widenet_frivolous.points import Point, axis, reached
from widenet_frivolous.replay import Plan, intact


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


def layers_chosen(net: nn.Module, engine: Ablation, patterns: Sequence[str]) -> list[Layer]:
    """The layers that match, in the order in which a forward pass reaches them.

    Without patterns they are the activation modules but that of the logits or, of a network whose activations are no modules,
    what its weighted layers but the first are given.

    Raises:
        UsageError: a pattern matches nothing, a layer is not reached or has no units, or only the logits are left.
    """
    points = [Point(name) for name in _names(net, engine, patterns)]
    points.sort(key=lambda point: reached(engine.calls, point))
    with Evaluating(net), torch.inference_mode():
        kept = intact(net, engine.look, [Plan(tuple(points), "whole", {})], everywhere=True)
    points = [point for point in points if not _equal(kept.values[point.name], kept.logits)]
    if not points:
        raise UsageError("only the logits are left to perturb; choose layers before them with --layer")
    return [_layer(net, engine, point, kept.values[point.name]) for point in points]


def _layer(net: nn.Module, engine: Ablation, point: Point, value: Tensor) -> Layer:
    if value.ndim < 2:
        raise UsageError(f"layer {point.name} has one number a sample and no units; choose another layer")
    size = value.shape[axis(net, value)]
    return Layer(point, size, _feeding(net, engine, point, size))


def weighted(net: nn.Module, engine: Ablation, patterns: Sequence[str]) -> list[str]:
    """Paths of the linear and convolutional layers that match, all but the last one (the read-out) without patterns.

    Raises:
        UsageError: none does.
    """
    called = _called(net, engine)
    if patterns:
        chosen = set(studied_layers(net, engine.split, patterns))
        if not (found := [path for path in called if path in chosen]):
            raise UsageError("no layer that matches has weights; name linear or convolutional layers with --layer")
        return found
    if len(called) < 2:
        raise UsageError("the network has no weighted layer before its last one; name layers with --layer")
    return called[:-1]


def _names(net: nn.Module, engine: Ablation, patterns: Sequence[str]) -> list[str]:
    if patterns:
        return studied_layers(net, engine.split, patterns)
    try:
        return studied_layers(net, engine.split)
    except UsageError:
        return [path + INPUT for path in _called(net, engine)[1:]]


def _called(net: nn.Module, engine: Ablation) -> list[str]:
    return list(dict.fromkeys(c.path for c in engine.calls if isinstance(net.get_submodule(c.path), LAYERS)))


def _equal(value: Tensor, logits: Tensor) -> bool:
    return value.shape == logits.shape and torch.equal(value, logits)


def _feeding(net: nn.Module, engine: Ablation, point: Point, size: int) -> str:
    """The last weighted module of ``size`` units that is done when the point is reached."""
    when = reached(engine.calls, point)
    for call in reversed(engine.calls):
        module: Any = net.get_submodule(call.path)
        if call.ended <= when and isinstance(module, LAYERS) and len(module.weight) == size:
            return call.path
    return ""
