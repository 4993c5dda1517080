"""Scores of every kind and layout, and what selecting from them must give."""

import math
from unittest import mock

import torch

from widenet.kernels import select
from widenet.kernels._bits import INTEGERS

FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
SPECIAL = [0.0, -0.0, math.nan, -math.nan, math.inf, -math.inf, 1e-45, -3e-42, 6e-8, 1.0, -1.0, 65504.0, 1e-3]


def reference_together(scores, keep, floor=0.0):
    """Keep each tensor's floor, then the largest of all that is left, by one stable sort; None where floors ask too much."""
    line = torch.cat([tensor.detach().double().abs().flatten() for tensor in scores])
    order = line.sort(stable=True).indices
    owner = torch.cat([torch.full((tensor.numel(),), i) for i, tensor in enumerate(scores)])[order]
    kept = torch.zeros(len(line), dtype=torch.bool)
    for i, tensor in enumerate(scores):
        count = tensor.numel() - int((1 - floor) * tensor.numel())
        own = order[owner == i]
        kept[own[len(own) - max(count, floor > 0) :]] = floor > 0
    left = len(line) - int((1 - keep) * len(line)) - int(kept.sum())
    if left < 0:
        return None
    rest = order[~kept[order]]
    kept[rest[len(rest) - left :]] = True
    return [mask.view(tensor.shape) for mask, tensor in zip(kept.split([t.numel() for t in scores]), scores, strict=True)]


def reference(scores, keep):
    """Sort magnitudes stably, ascending, and drop from the front."""
    order = scores.detach().double().abs().flatten().sort(stable=True).indices
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[order[: int((1 - keep) * scores.numel())]] = False
    return mask.view(scores.shape)


def numbers(kind, shape, seed=0):
    """Draw float32 scores: all different, in few levels, subnormal, or made of special values."""
    source = torch.Generator().manual_seed(seed)
    scores = torch.randn(shape, generator=source)
    if kind == "levels":
        return (scores * 2).round() / 2
    if kind == "subnormal":
        return scores * 1e-41
    if kind == "constant":
        return torch.full(shape, -0.3)
    if kind == "special":
        return torch.tensor(SPECIAL)[torch.randint(len(SPECIAL), shape, generator=source)]
    if kind == "nans":  # of every payload
        payload = torch.randint(0x7F800001, 0x7FFFFFFF, shape, generator=source, dtype=torch.int32) | 0x7F0000
        return torch.where(scores < 0.5, payload.view(torch.float32), scores)
    return scores


KINDS = ["normal", "levels", "subnormal", "constant", "special", "nans"]


def lay_out(tensor, layout):
    """Give the same values other strides."""
    if layout == "channels_last" and tensor.dim() == 4:
        return tensor.contiguous(memory_format=torch.channels_last)
    if layout == "transposed":
        return tensor.mT.contiguous().mT if tensor.dim() > 1 else tensor
    if layout == "strided" and tensor.dim():
        return torch.stack([tensor, tensor], -1).flatten(-2)[..., ::2]
    return tensor


LAYOUTS = ["contiguous", "channels_last", "transposed", "strided"]


def same_bits(a, b):
    """Compare with NaN and the sign of zero told apart."""
    return torch.equal(*(tensor.view(INTEGERS[tensor.itemsize]) for tensor in (a, b)))


def form_of(compiled):
    """The compiled loops, or for a block the plain form."""
    return mock.patch.multiple(select, SMALL=0, compiled=select.compiled if compiled else lambda name: None)
