"""The study's fully connected networks."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from widenet_frivolous.custom_layers import make_activation, scaled
from widenet_frivolous.initialise import draw_cut, initialise

if TYPE_CHECKING:
    from widenet_frivolous.models import Mlp

UNITS = 32
STDS = (1e-3, 1e-2)
"""Deviations of the weights of the first layer and of those after it, in the original code."""


def mlp(shape: Sequence[int], classes: int, depth: int, config: Mlp) -> nn.Sequential:
    """Build hidden layers ``fc1``, ``fc2`` and so on, ``depth`` of them, and ``logits`` (original code).

    Maps ``(n, *shape)`` to ``(n, classes)`` logits; what ``fc1.act`` puts out is what the study captures and ablates. Biases
    start at 0.
    """
    units, inputs = scaled(UNITS, config.width), math.prod(shape)
    parts: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for number in range(1, depth + 1):
        layers = {"linear": nn.Linear(inputs, units), "act": make_activation(config.activation)}
        parts[f"fc{number}"] = nn.Sequential(OrderedDict(layers))
        parts[f"drop{number}"] = nn.Dropout(config.dropout)
        inputs = units
    parts["logits"] = nn.Linear(inputs, classes)
    net = nn.Sequential(parts)
    _initialise(net, config)
    return net


def _initialise(net: nn.Module, config: Mlp) -> None:
    if config.init != "study":
        initialise(net, config.init)
    linear = [module for module in net.modules() if isinstance(module, nn.Linear)]
    for place, layer in enumerate(linear):
        nn.init.zeros_(layer.bias)
        if config.init == "study":
            draw_cut(layer.weight, STDS[min(place, 1)] * config.init_factor)
