"""Samples of a layer's units, standardised column by column where they are needed, so that no second copy of them exists."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator

import attrs
import numpy as np
import torch
from torch import Tensor

ROWS = 256
"""Samples that are worked on at a time."""
PANEL = 256
"""Columns whose moments are found at a time: a block of them stays in a cache."""
PAIRS = 4096
"""Pairs of columns that are multiplied at a time."""


@attrs.frozen(eq=False)
class Columns:
    """Samples (M, N) that are standardised where they are needed, a block at a time.

    Args:
        x: any real dtype and layout.
        mean: float64 (N,).
        scale: float64 (N,), one over the square root of the sum of squares about the mean; NaN where a column is constant, so
            that its correlations are NaN and reach no threshold.
    """

    x: Tensor
    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Columns:
        """Find means and scales, in one pass.

        Raises:
            ValueError: a value, or the sum of a column's squares, is not finite.
        """
        moments = [_moments(x[:, panel]) for panel in spans(x.shape[1], PANEL)]
        mean, scatter = (torch.cat([part[k] for part in moments]) if moments else x.new_zeros(0).double() for k in (0, 1))
        if not bool(scatter.isfinite().all()):
            raise ValueError("samples must be finite, and their squares too")
        return cls(x, mean, torch.where(scatter > 0, scatter.rsqrt(), torch.nan))

    def block(self, rows: slice, columns: slice | Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
        """Standardised values of some samples of some units; each is rounded once."""
        part = self.x[rows][:, columns].to(torch.float64, copy=True)
        return part.sub_(self.mean[columns]).mul_(self.scale[columns]).to(dtype)

    def correlations(self, i: Tensor, j: Tensor) -> Tensor:
        """Absolute correlations of the pairs of units (i, j), two int64 (p,); float64 (p,)."""
        found = self.mean.new_zeros(len(i))
        for pairs, rows in itertools.product(spans(len(i), PAIRS), spans(len(self.x), ROWS)):
            found[pairs] += self.block(rows, i[pairs]).mul_(self.block(rows, j[pairs])).sum(0)
        return found.abs_()


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and sum of squares about it of each column, joined over blocks by the formula of Chan, Golub and LeVeque (1983).

    The first sample is subtracted before all else, so that a constant column has a sum of squares of exactly 0.
    """
    first = x[0].double()
    mean, scatter = torch.zeros_like(first), torch.zeros_like(first)
    for rows in spans(len(x), ROWS):
        block = x[rows].double() - first
        own, total = block.mean(0), rows.start + len(block)
        between = own - mean
        scatter += block.sub_(own).square_().sum(0) + between.square() * (rows.start * len(block) / total)
        mean += between * (len(block) / total)
    return mean + first, scatter


def spans(length: int, size: int) -> Iterator[slice]:
    """Slices that cut a length into pieces of a size, the last of which may be smaller."""
    return (slice(start, min(start + size, length)) for start in range(0, length, size))


def as_samples(x: Tensor | np.ndarray) -> Tensor:
    """The samples (M, N) as a tensor, which shares their memory where it can and is not for writing.

    Raises:
        ValueError: they are not real numbers, have another shape, or M is 0.
    """
    if not isinstance(x, Tensor):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nor is it written to
            x = torch.from_numpy(x if min(x.strides, default=0) >= 0 else x.copy())
    if x.ndim != 2 or not len(x) or x.is_complex():
        raise ValueError(f"samples must be real and (M, N) with M at least 1, not {x.dtype} of shape {tuple(x.shape)}")
    return x.detach()
