"""Random masks that differ in how much permutation symmetry they leave at equal sparsity.

Sparsity is the fraction of zeros. Masks are bool in torch layout, ``(out, in, *taps)``: a neuron is an index of axis 0, its
inputs are all pairs of an input channel and a tap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

PER_NEURON = ("per-neuron", "per-neuron-no-input-ablation")
"""Kinds that take ``fan_in`` in place of a sparsity."""
KINDS = ("symmetric", "random", *PER_NEURON, "bernoulli", "n-m")


def generate(
    kind: str, shape: Sequence[int], sparsity: float, generator: torch.Generator, *, group: int = 4, fan_in: int | None = None
) -> Tensor:
    """A random mask on the generator's device; all draws come from the generator.

    With n inputs a neuron, and of all layers' weights, ``kept(n, sparsity)`` is what is left of n.

    ============================  ====================================================================================
    symmetric                     all neurons keep the same ``kept(n)`` inputs
    random                        ``kept(out * n)`` weights of the layer, anywhere
    per-neuron                    each neuron keeps ``kept(n)`` inputs of its own: constant fan-in
    per-neuron-no-input-ablation  the same, and every input keeps a weight: neuron j has ``max(k, d_j)`` inputs, where
                                  k is ``(1 - sparsity) * n`` rounded half to even and d_j are the inputs dealt to it
    bernoulli                     each weight is kept with probability ``1 - sparsity``
    n-m                           of every M = ``group`` inputs in a row each neuron keeps ``kept(M)``; the inputs are in
                                  the order of ``channels_last``, channels fastest; the last, shorter group keeps its
                                  share; above a sparsity of ``1 - 1/M`` nothing is left
    ============================  ====================================================================================

    The inputs of a grouped convolution are those of one group, as its weight has them.

    Args:
        kind: one of :data:`KINDS`.
        shape: ``(out, in, *taps)``.
        sparsity: from 0 to 1.
        generator: where the randomness comes from.
        group: M of n-m.
        fan_in: for the per-neuron kinds, how many inputs each neuron keeps, all if there are fewer; the sparsity then plays
            no part. With no input ablation, a neuron still keeps as many as are dealt to it.

    Raises:
        ValueError: an unknown kind, a sparsity outside [0, 1], a shape of fewer than two axes or with an empty one, a group
            below 1, a fan_in below 1 or for a kind that has none.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of mask {kind!r}; choose one of {', '.join(KINDS)}")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be from 0 to 1, not {sparsity}")
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(f"a mask needs a shape (out, in, ...) of at least 1 each, not {tuple(shape)}")
    if group < 1:
        raise ValueError(f"group must be at least 1 input, not {group}")
    if fan_in is not None and (fan_in < 1 or kind not in PER_NEURON):
        raise ValueError(f"fan_in {fan_in} for {kind}: give at least 1, and only to {' and '.join(PER_NEURON)}")
    out, channels, *taps = shape
    inputs = channels * math.prod(taps)
    draw: dict[str, Callable[[], Tensor]] = {
        "symmetric": lambda: _choose(1, inputs, kept(inputs, sparsity), generator).expand(out, -1),
        "random": lambda: _choose(1, out * inputs, kept(out * inputs, sparsity), generator),
        "per-neuron": lambda: _choose(out, inputs, fan_in or kept(inputs, sparsity), generator),
        "per-neuron-no-input-ablation": lambda: _alive(out, inputs, fan_in or _nearest(inputs, sparsity), generator),
        "bernoulli": lambda: torch.rand(out, inputs, generator=generator, device=generator.device) >= sparsity,
        "n-m": lambda: _grouped(out, inputs, sparsity, group, generator),
    }
    mask = draw[kind]()
    if kind == "n-m":
        mask = mask.reshape(out, *taps, channels).movedim(-1, 1)
    return mask.reshape(out, channels, *taps).contiguous()


def kept(n: int, sparsity: float) -> int:
    """How many of ``n`` weights are left: ``n - ceil(sparsity * n)``, blind to rounding errors of the product."""
    return n - math.ceil(round(sparsity * n, 6))


def wrapped_diagonal(out: int, inputs: int) -> Tensor:
    """Bool (out, inputs): input r alone belongs to neuron ``r % out``."""
    return torch.arange(inputs) % out == torch.arange(out)[:, None]


def _nearest(n: int, sparsity: float) -> int:
    """``(1 - sparsity) * n`` to the nearest whole number, halves to the even one."""
    return round(round((1 - sparsity) * n, 6))


def _choose(rows: int, n: int, count: int, generator: torch.Generator, first: Tensor | None = None) -> Tensor:
    """Bool (rows, n) with ``count`` random places of each row (at most all n), those in ``first`` before others."""
    keys = torch.rand(rows, n, generator=generator, device=generator.device)
    if first is not None:
        keys.masked_fill_(first, 2.0)
    places = keys.topk(min(count, n), dim=1, sorted=False).indices
    return torch.zeros_like(keys, dtype=torch.bool).scatter_(1, places, True)


def _alive(out: int, inputs: int, count: int, generator: torch.Generator) -> Tensor:
    """``count`` inputs a neuron, or those dealt to it: every input, in random order, is dealt to the next neuron in turn."""
    order = torch.randperm(inputs, generator=generator, device=generator.device)
    dealt = wrapped_diagonal(out, inputs).to(order.device)[:, order]
    # Neurons are dealt equally many inputs or one more: the count covers all of them or adds to none.
    return _choose(out, inputs, count, generator, dealt) if count >= math.ceil(inputs / out) else dealt


def _grouped(out: int, inputs: int, sparsity: float, group: int, generator: torch.Generator) -> Tensor:
    """An equal share of every ``group`` inputs, and the same share of those that are left over."""
    whole, rest = divmod(inputs, group)
    parts = _choose(out * whole, group, kept(group, sparsity), generator).view(out, whole * group)
    return torch.cat([parts, _choose(out, rest, kept(rest, sparsity), generator)], dim=1)
