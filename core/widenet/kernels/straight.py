"""The gradient that edge-popup passes straight through its choice, in one sweep on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from widenet.kernels import select


def straight_through(scores: Tensor, weight: Tensor, upstream: Tensor) -> Tensor:
    """d/dscore = d/d(weight * mask) * weight * sign(score), as if the choice were not there; sign(0) = sign(NaN) = 0.

    Source: Ramanujan et al. 2020, section 3.

    Args:
        scores: float, any shape.
        weight: of the same shape.
        upstream: d/d(weight * mask), of the same shape.

    Returns:
        A tensor of the shape, dtype and strides of ``scores``.
    """
    if _alike(scores, weight, upstream) and (numba := select.compiled("_straight_numba")) is not None:
        result = torch.empty_like(scores)
        numba.fill(scores, weight, upstream, result)
        return result
    return torch.sign(scores).mul_(weight).mul_(upstream)


def _alike(scores: Tensor, weight: Tensor, upstream: Tensor) -> bool:
    """Whether these can be gone through together: float32 on a CPU, lying alike; not while a graph is traced."""
    if torch.compiler.is_compiling() or not scores.is_cpu:
        return False
    if not scores.dtype == weight.dtype == upstream.dtype == torch.float32:
        return False
    dense = scores.is_contiguous() or (scores.ndim == 4 and scores.is_contiguous(memory_format=torch.channels_last))
    return dense and scores.stride() == weight.stride() == upstream.stride()
