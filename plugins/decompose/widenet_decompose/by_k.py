"""Accuracy of a decomposed linear layer at every number of units a class, from prefix sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from widenet.kernels.compiled import compiled
from widenet_decompose._by_k_torch import right_torch
from widenet_decompose._sets import repeats

SMALL = 1 << 16
"""Products up to which the compiled loops do not pay for being loaded; the plain form takes 2 ms."""

Array = Tensor | np.ndarray[Any, Any]

__all__ = ["accuracy_by_k"]


def accuracy_by_k(features: Array, labels: Array, weight: Array, bias: Array | None, ranking: Array) -> Tensor:
    """Accuracy of a linear layer whose classes read the first k units of their rankings, for every k = 1 .. K.

    The logits at k are those at k - 1 and one product more, so all K accuracies need N C K products and no dense layer. Sums
    are float64, in the order of the ranking and from the bias on; of classes with equal logits the lowest wins. The layer is
    that of Badola et al. 2023 ("final_weights" in their code, which passed over the images once for each k).

    Args:
        features: (N, F), any float dtype, N >= 1; what the layer reads.
        labels: (N,), integers in 0 .. C - 1.
        weight: (C, F), any float dtype.
        bias: (C,) or None.
        ranking: (C, K), integers in 0 .. F - 1, none twice in a row, K <= F: the units of each class, most important first.

    Returns:
        float64 (K,) on the CPU: the fraction of samples whose label has the highest logit.

    Raises:
        ValueError: a shape does not fit, a label or a ranked unit is out of range, or a class ranks a unit twice.
    """
    x, w, y, rank = (_detached(array) for array in (features, weight, labels, ranking))
    b = torch.zeros(len(w), dtype=torch.float64) if bias is None else _detached(bias).double()
    _check(x, y, w, b, rank)
    y, rank, w, b = (tensor.to(x.device) for tensor in (y.long(), rank.long(), w, b))
    form: Any = right_torch
    if x.is_cpu and len(x) * rank.numel() > SMALL and (numba := compiled("_by_k_numba", __package__)) is not None:
        form = numba.right_numba
    right: Tensor = form(x, y, w.gather(1, rank).double(), b, rank)
    return right.cpu().double() / len(x)


def _detached(array: Array) -> Tensor:
    return torch.as_tensor(array).detach()


def _check(x: Tensor, y: Tensor, w: Tensor, b: Tensor, rank: Tensor) -> None:
    if x.ndim != 2 or not len(x):
        raise ValueError(f"features must be (N, F) with at least one sample, not {tuple(x.shape)}")
    if w.ndim != 2 or w.shape[1] != x.shape[1]:
        raise ValueError(f"the weight must be (C, {x.shape[1]}) as the features are {tuple(x.shape)}, not {tuple(w.shape)}")
    if b.shape != w.shape[:1]:
        raise ValueError(f"the bias must be ({len(w)},) like the weight's classes, not {tuple(b.shape)}")
    if y.shape != x.shape[:1] or y.is_floating_point():
        raise ValueError(f"labels must be integers ({len(x)},), one a sample, not {y.dtype} {tuple(y.shape)}")
    if y.min() < 0 or y.max() >= len(w):
        raise ValueError(f"labels must lie in 0 .. {len(w) - 1}, not {int(y.min())} .. {int(y.max())}")
    if rank.ndim != 2 or len(rank) != len(w) or not 0 < rank.shape[1] <= w.shape[1] or not _whole(rank):
        raise ValueError(
            f"the ranking must be integers ({len(w)}, K), 0 < K <= {w.shape[1]}, not {rank.dtype} {tuple(rank.shape)}"
        )
    if rank.min() < 0 or rank.max() >= w.shape[1]:
        raise ValueError(f"ranked units must lie in 0 .. {w.shape[1] - 1}, not {int(rank.min())} .. {int(rank.max())}")
    if (twice := repeats(rank)) is not None:
        raise ValueError(f"class {twice} ranks a unit twice; rank each at most once")


def _whole(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() and not tensor.is_complex() and tensor.dtype != torch.bool
