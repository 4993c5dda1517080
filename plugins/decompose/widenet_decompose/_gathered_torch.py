"""The class-gathered product in PyTorch alone: one form for few samples, which is the reference, and one for many."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from widenet_decompose._sets import PADDING

PRODUCTS = 1 << 15
"""Products that exist at a time: they stay in the cache, and torch leaves so few to one thread, which is faster."""
ROWS = 64
"""Samples that are transposed at a time: at 2,048 features 512 kB, which the bags read from the cache."""


class Bags(NamedTuple):
    """The units of all classes one after the other (the rows of a CSR matrix).

    Attributes:
        units: int32 (total,).
        starts: int32 (C + 1,), where in ``units`` each class begins, and the end.
        weights: (total,).
    """

    units: Tensor
    starts: Tensor
    weights: Tensor

    @classmethod
    def of(cls, indices: Tensor, weights: Tensor) -> Bags:
        """Make them of padded indices and weights (C, k)."""
        kept = indices != PADDING
        starts = F.pad(kept.sum(1).cumsum(0), (1, 0))
        return cls(indices[kept].int(), starts.int(), weights[kept])


def gathered_torch(x: Tensor, indices: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """Compute ``out[n, c] = bias[c] + sum over j of x[n, indices[c, j]] weights[c, j]``, some j of all classes at a time.

    Args:
        x: (N, F).
        indices: integers (C, k) in 0 .. F - 1; fastest as the transpose of a contiguous (k, C).
        weights: (C, k) of the dtype of ``x``, likewise.
        bias: (C,) of the dtype of ``x``.

    Returns:
        (N, C).
    """
    out = bias.repeat(len(x), 1)
    ranks = max(1, PRODUCTS // max(1, out.numel()))
    for units, weight in zip(indices.T.split(ranks), weights.T.split(ranks), strict=True):
        values = x.index_select(1, units.flatten()).view(len(x), *units.shape)
        out += values.mul_(weight).sum(1)
    return out


def bagged_torch(x: Tensor, bags: Bags, bias: Tensor) -> Tensor:
    """Do what ``gathered_torch`` does without an array of all products: ``embedding_bag`` adds up rows of x transposed."""
    out = x.new_empty(len(x), len(bias))
    for start in range(0, len(x), ROWS):
        columns = x[start : start + ROWS].T.contiguous()
        sums = F.embedding_bag(
            bags.units, columns, bags.starts, mode="sum", per_sample_weights=bags.weights, include_last_offset=True
        )
        torch.add(sums.T, bias, out=out[start : start + ROWS])
    return out
