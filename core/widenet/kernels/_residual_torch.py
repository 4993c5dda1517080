"""The sum of absolute residual correlations in PyTorch alone: the reference for the form on a GPU, and what runs on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor

ROWS = 64
"""Rows of the residual matrix that exist at a time: few enough to stay in a cache."""


def residual_torch(scatter: Tensor, outside: Tensor, y: Tensor, roots: Tensor, floor: float) -> Tensor:
    """Sum ``|E_ij| / (roots_i roots_j + floor)`` over i < j, where ``E = S - Y^T Y`` for the columns ``outside`` of ``S``.

    Args:
        scatter: float64 (P, P), S.
        outside: int64 (q,).
        y: float64 (c, q), Y.
        roots: float64 (q,), above 0.
        floor: at least 0.

    Returns:
        float64 ().
    """
    total = scatter.new_zeros(())
    for start in range(0, len(outside), ROWS):
        rows, right = slice(start, start + ROWS), slice(start, None)
        block = scatter.index_select(0, outside[rows]).index_select(1, outside[right])
        block.addmm_(y[:, rows].T, y[:, right], alpha=-1).abs_()
        block.div_(torch.outer(roots[rows], roots[right]).add_(floor))
        block.diagonal().zero_()
        total += block.sum() - block[:, : len(block)].sum() / 2  # the square at its left holds every pair twice
    return total
