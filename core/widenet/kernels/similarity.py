"""How alike a layer's units are: pairs of high correlation, counted or in a histogram, without the N x N matrix of them.

The plain PyTorch form, which is the reference and runs on a CPU, is in ``_similarity_torch``, the form for a GPU with Triton in
``_similarity_triton``; the functions here check their arguments and choose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from widenet.kernels._columns import Columns, as_samples
from widenet.kernels._similarity_torch import ROUNDING, full_precision, similar_torch, tiles
from widenet.kernels.compiled import compiled

__all__ = ["count_similar", "similarity_histogram"]


def count_similar(x: Tensor | np.ndarray, thresholds: Sequence[float] | np.ndarray | Tensor) -> Tensor:
    """Count, for each unit, the other units whose absolute Pearson correlation with it reaches each threshold.

    This is the similarity of the original code (``|r| >= t``), a constant unit's -1 included. The counts are those of float64:
    what float32 leaves in doubt is looked at again. Equal units, or one the negative of the other, are similar at a threshold
    of 1. Beyond ``x``, which is read several times and not changed, it takes some tens of MB at any N.

    Args:
        x: (M, N), M >= 1 samples of N units: any real dtype and layout, on any device.
        thresholds: (T,).

    Returns:
        int64 (T, N), on the device of ``x``: -1 for a unit that is constant, which is similar to none.

    Raises:
        ValueError: ``x`` is not (M, N), holds no sample, or is not finite; or a threshold is NaN.
    """
    columns = Columns.of(as_samples(x))
    levels = torch.as_tensor(thresholds, dtype=torch.float64, device=columns.mean.device) - ROUNDING
    if levels.ndim != 1 or bool(levels.isnan().any()):
        raise ValueError("thresholds must be a sequence of numbers")
    counts = None
    if columns.x.is_cuda and columns.x.is_floating_point() and (triton := compiled("_similarity_triton")) is not None:
        counts = triton.similar_triton(columns, levels)
    if counts is None:  # also where a GPU was left with too many pairs in doubt
        with full_precision():
            counts = similar_torch(columns, levels)
    return counts.masked_fill_(columns.scale.isnan(), -1)


def similarity_histogram(x: Tensor | np.ndarray, bins: int = 100) -> Tensor:
    """Count the absolute Pearson correlations of all pairs of different units in equal bins of [0, 1]; 1 is in the last.

    Pairs with a constant unit are left out. Correlations are float32 here: one on the border of two bins may be in either.

    Args:
        x: (M, N), as for ``count_similar``.
        bins: at least 1.

    Returns:
        int64 (bins,), on the device of ``x``. Its sum is n (n - 1) / 2 for n units that are not constant.

    Raises:
        ValueError: ``x`` is wrong as for ``count_similar``, or ``bins`` is below 1.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    columns = Columns.of(as_samples(x))
    counts = columns.mean.new_zeros(bins, dtype=torch.int64)
    with full_precision():
        for _, _, tile in tiles(columns):
            counts += torch.histc(tile[~tile.isnan()].clamp_(max=1), bins, 0, 1).long()
    return counts
