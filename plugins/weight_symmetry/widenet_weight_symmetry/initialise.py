"""Random weights under a mask, scaled by the connections that are there rather than by those of the dense layer.

Source: Evci, Ioannou, Keskin and Dauphin, "Gradient flow in sparse neural networks and how lottery tickets win", AAAI 2022. All
neurons are drawn at once, and only the weights that are kept.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

KINDS = ("kaiming-sparse", "xavier-sparse", "unit-scaled", "layer-scaled")
SCALED = ("unit-scaled", "layer-scaled")
"""Kinds that a mode, a distribution and a scale are for."""
MODES = ("fan-in", "fan-out", "fan-average")
DISTRIBUTIONS = ("uniform", "normal")

BOUND = 2.0
"""Where the normals of kaiming-sparse and xavier-sparse are cut off, in standard deviations before the cut."""
WITHIN = math.erf(BOUND / math.sqrt(2))
"""Probability that a normal lies within the bound."""
SHRUNK = math.sqrt(1 - 2 * BOUND * math.exp(-(BOUND**2) / 2) / (math.sqrt(2 * math.pi) * WITHIN))
"""Standard deviation that the cut leaves of 1: 0.8796."""


@torch.no_grad()
def sparse_init_(
    weight: Tensor,
    mask: Tensor | None,
    kind: str = "kaiming-sparse",
    generator: torch.Generator | None = None,
    *,
    mode: str = "fan-average",
    distribution: str = "uniform",
    scale: float = 1.0,
) -> Tensor:
    """Draw the kept weights, in place, and set all others to 0; a neuron without inputs stays all 0.

    Fan-in of a neuron and fan-out of an input channel count the weights that the mask keeps of them, taps included; U is the
    number of neurons with any.

    ==============  ===============================================================================================
    kaiming-sparse  standard deviation ``sqrt(2 / fan_in)``, truncated normal
    xavier-sparse   ``sqrt(2 / (fan_in + U))``, truncated normal
    unit-scaled     variance ``scale / max(1, fan)`` for each weight, by ``mode`` from the fans of the two units it joins
    layer-scaled    variance ``scale / fan`` of the dense layer's fan, divided by the fraction of the layer that is kept
    ==============  ===============================================================================================

    Truncated normals are cut at 2 standard deviations and then scaled up, so that the deviations are as above and no weight is
    beyond 2.274 of them. Without a mask the dense initialisers result; xavier-sparse then has ``out * taps`` for U, as
    everybody's, which with a mask the published code does not.

    Args:
        weight: any float dtype and device, ``(out, in, *taps)``.
        mask: bool of the weight's shape, or None for a dense layer.
        kind: one of :data:`KINDS`.
        generator: where the numbers come from, drawn as float32 on its device; torch's global ones if None.
        mode: one of :data:`MODES`, of the last two kinds.
        distribution: ``uniform`` or ``normal`` (not truncated), of the last two kinds.
        scale: variance times fan, of the last two kinds.

    Returns:
        The weight.

    Raises:
        ValueError: an unknown kind, mode or distribution, a scale not above 0, a weight of fewer than two axes, or a mask of
            another shape.
    """
    for what, value, known in (("kind", kind, KINDS), ("mode", mode, MODES), ("distribution", distribution, DISTRIBUTIONS)):
        if value not in known:
            raise ValueError(f"unknown {what} {value!r} of an initialiser; choose one of {', '.join(known)}")
    if not scale > 0:
        raise ValueError(f"scale must be above 0, not {scale}")
    if weight.ndim < 2 or (mask is not None and mask.shape != weight.shape):
        given = "no mask" if mask is None else f"a mask {tuple(mask.shape)}"
        raise ValueError(f"needs a weight (out, in, ...) and a mask of its shape, not {tuple(weight.shape)} and {given}")
    mask = None if mask is None else mask.to(weight.device)
    deviation = _deviation(weight, mask, kind, mode, scale)
    count = weight.numel() if mask is None else int(mask.count_nonzero())
    values = _standard(count, distribution if kind in SCALED else "truncated", generator, weight.device).to(weight)
    if mask is None:
        weight.copy_(values.view(weight.shape))
    else:
        weight.zero_().masked_scatter_(mask, values)
    return weight.mul_(deviation.to(weight.dtype))


def _standard(count: int, distribution: str, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Draws of mean 0 and variance 1: float32 (count,)."""
    values = torch.empty(count, device=generator.device if generator else device)
    if distribution == "normal":
        return values.normal_(generator=generator)
    if distribution == "uniform":
        return values.uniform_(-math.sqrt(3), math.sqrt(3), generator=generator)
    values.uniform_(-WITHIN, WITHIN, generator=generator).erfinv_()  # the normal's quantiles
    return values.mul_(math.sqrt(2) / SHRUNK).clamp_(-BOUND / SHRUNK, BOUND / SHRUNK)


def _deviation(weight: Tensor, mask: Tensor | None, kind: str, mode: str, scale: float) -> Tensor:
    """The standard deviation of each weight, in float32 and a shape that broadcasts; of masked ones anything finite."""
    if kind == "kaiming-sparse":
        return (2 / _fan(weight, mask, 0).clamp(min=1)).sqrt()
    if kind == "xavier-sparse":
        fan_in = _fan(weight, mask, 0)
        units = _fan(weight, None, 1) if mask is None else fan_in.count_nonzero()
        return (2 / (fan_in + units).clamp(min=1)).sqrt()
    counted = mask if kind == "unit-scaled" else None
    if mask is not None and kind == "layer-scaled":
        scale *= mask.numel() / max(int(mask.count_nonzero()), 1)
    sides = {"fan-in": (0,), "fan-out": (1,), "fan-average": (0, 1)}[mode]
    fan = torch.stack(torch.broadcast_tensors(*(_fan(weight, counted, side) for side in sides))).float().mean(0)
    return (scale / fan.clamp(min=1)).sqrt()


def _fan(weight: Tensor, mask: Tensor | None, side: int) -> Tensor:
    """Weights kept of each neuron (side 0) or input channel (side 1), (out, 1, ...) or (1, in, 1, ...); one number if dense."""
    if mask is None:
        return torch.tensor(weight.numel() // weight.shape[side], device=weight.device)
    shape = [1] * weight.ndim
    shape[side] = -1
    return mask.transpose(0, side).flatten(1).sum(1).view(shape)
