"""The six initialisers, for the linear and convolutional layers of any network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from widenet.errors import UsageError
from widenet_frivolous.options import Initialiser

CUT = 0.87962566103423978
"""Standard deviation of a unit normal that is cut at two deviations."""


def variance(shape: torch.Size, name: Initialiser) -> float:
    """The variance of the weights of a layer of ``shape`` (out, in, *kernel).

    Glorot: ``2 / (fan_in + fan_out)``; He: ``2 / fan_in``; LeCun: ``1 / fan_in``. Fans count the taps of the kernel.
    """
    taps = math.prod(shape[2:])
    fan_in, fan_out = shape[1] * taps, shape[0] * taps
    scheme = name.partition("-")[0]
    return {"glorot": 2 / (fan_in + fan_out), "he": 2 / fan_in, "lecun": 1 / fan_in}[scheme]


@torch.no_grad()
def draw(weight: Tensor, name: Initialiser, generator: torch.Generator | None = None) -> None:
    """Draw ``weight`` (out, in, *kernel) anew: uniform, or normal cut at two deviations, of the variance that ``name`` says.

    The normal is widened before it is cut, so that what is left has that variance. Numbers come from the generator and its
    device, so that where the network lies changes nothing; without one, from the global stream.
    """
    std = math.sqrt(variance(weight.shape, name))
    if name.endswith("uniform"):
        drawn = _empty(weight, generator).uniform_(-math.sqrt(3) * std, math.sqrt(3) * std, generator=generator)
    else:
        drawn = _cut(_empty(weight, generator), std / CUT, generator)
    weight.copy_(drawn)


@torch.no_grad()
def draw_cut(weight: Tensor, std: float, generator: torch.Generator | None = None) -> None:
    """Draw ``weight`` from a normal of deviation ``std`` cut at two; what is left deviates by 0.88 times as much."""
    weight.copy_(_cut(_empty(weight, generator), std, generator))


def initialise(net: nn.Module, name: Initialiser, generator: torch.Generator | None = None) -> None:
    """Draw the weights of every linear and convolutional layer of ``net`` anew; biases and all else stay.

    Raises:
        UsageError: a layer's weight lies under a mask or another parametrisation, or there is no such layer.
    """
    found = layers(net)
    if not found:
        raise UsageError("the network has no linear or convolutional layer to initialise; leave --init out")
    for path, layer in found.items():
        if hasattr(layer, "parametrizations"):
            raise UsageError(f"the weights of {path} lie under a mask; leave --init out, or start from a network without masks")
        draw(layer.weight, name, generator)


def layers(net: nn.Module) -> dict[str, nn.Linear | _ConvNd]:
    """Every linear and convolutional layer by its path, in the network's order."""
    return {path: module for path, module in net.named_modules() if isinstance(module, nn.Linear | _ConvNd)}


def _empty(weight: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.empty(weight.shape, dtype=weight.dtype, device=weight.device if generator is None else generator.device)


def _cut(weight: Tensor, std: float, generator: torch.Generator | None) -> Tensor:
    return nn.init.trunc_normal_(weight, 0.0, std, -2 * std, 2 * std, generator=generator)
