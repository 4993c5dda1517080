"""The regression of a layer on chunks of its neurons, from the layer's Gram matrix alone, several chunks of one size at once.

Residuals are those of least squares with an intercept. The published ridge penalty ALPHA changes them in its square alone,
which is nothing unless the scatter of a neuron is itself as small; only weights for other samples are penalised.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from widenet.kernels.gram import Gram

ALPHA = 1e-8
"""Published ridge penalty, in units of the scatter."""


def neurons(gram: Gram, indices: Any) -> Tensor:
    """Neuron numbers (tensor, array or list) as int64 on the device of the Gram."""
    values = indices if isinstance(indices, Tensor) else torch.from_numpy(np.array(indices, dtype=np.int64))
    return values.to(gram.mean.device, torch.int64)


def complement(gram: Gram, chunks: Tensor) -> Tensor:
    """The neurons outside each chunk, ascending: int64 (R, P - c) for ``chunks`` (R, c).

    Raises:
        ValueError: a chunk names a neuron twice.
    """
    count, size = chunks.shape
    free = torch.ones(count, len(gram.mean), dtype=torch.bool, device=chunks.device).scatter_(1, chunks, False)
    outside = free.nonzero()[:, 1]
    if len(outside) != count * (free.shape[1] - size):
        raise ValueError("a chunk names a neuron twice")
    return outside.view(count, -1)


def factor(scatter: Tensor, penalty: float = 0) -> Tensor:
    """Lower Cholesky factors of ``scatter + penalty I``, float64 (R, c, c), which is overwritten.

    Constant neurons get a diagonal of 1, which explains nothing. The diagonal grows by ten roundings per neuron, and by more
    where collinear ones still leave the matrix indefinite: no residual shows that unless it counts as 0. Without it a pivot
    that is rounding alone, of a neuron that another one repeats, would divide rounding and explain anything.
    """
    diagonal = scatter.diagonal(dim1=-2, dim2=-1)
    diagonal += penalty
    diagonal[diagonal == 0] = 1
    growth = 10 * scatter.shape[-1] * torch.finfo(scatter.dtype).eps
    diagonal *= 1 + growth
    lower, info = torch.linalg.cholesky_ex(scatter)
    while bool((failed := info > 0).any()):
        diagonal[failed] *= 1 + growth
        lower[failed], info[failed] = torch.linalg.cholesky_ex(scatter[failed])
        growth *= 10
    return lower


def solved(scatter: Tensor, chunks: Tensor, outside: Tensor, penalty: float = 0) -> tuple[Tensor, Tensor]:
    """Factors of the chunks' scatter (R, c, c), and them solved for the scatter with the neurons outside (R, c, P - c).

    The second, Y, gives the residual scatter outside as ``S - Y^T Y``.
    """
    lower = factor(scatter[chunks[:, :, None], chunks[:, None, :]], penalty)
    return lower, torch.linalg.solve_triangular(lower, scatter[chunks[:, :, None], outside[:, None, :]], upper=False)
