"""What regressions of a layer's neurons on one another need of its samples: their count, mean and scatter matrix.

The rows are read once, in blocks that are centred on their own mean before they are multiplied and then joined by the
formula of Chan, Golub and LeVeque (1983), so that a large mean costs no digits. Everything is float64.

``correlation_sums`` goes over the entries of a residual scatter matrix without keeping it: ``_residual_torch`` in blocks
of rows, ``_residual_triton`` in tiles on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from widenet.kernels._residual_torch import residual_torch
from widenet.kernels.compiled import compiled

ROWS = 1024
"""Samples that are converted to float64 at a time."""
COLUMNS = 256
"""Columns of the scatter matrix whose entries left of its diagonal are never computed, only copied."""
NOTHING = 1e-9
"""Share of a column's scatter up to which its residual is rounding and counts as 0."""
EPSILON = 1e-8
"""What the denominator of a residual correlation has added, in units of the features squared."""

__all__ = ["Gram", "correlation_sums", "residual_scatter"]


class Gram:
    """Count, mean and scatter matrix of P columns, accumulated over blocks of samples and over shards.

    A column that is constant has a scatter of exactly 0 with every column, whatever its value.

    Args:
        P: the number of columns.
        device: where the float64 sums lie and the products are computed.
    """

    def __init__(self, P: int, device: torch.device | str = "cpu") -> None:  # noqa: N803 - the paper's P
        self.count = 0
        self._mean = torch.zeros(P, dtype=torch.float64, device=device)
        self._scatter = torch.zeros(P, P, dtype=torch.float64, device=device)
        self._whole = True

    @classmethod
    def of(cls, count: int, mean: Tensor, scatter: Tensor) -> Gram:
        """Make a Gram of a number of samples, their mean (P,) and symmetric scatter (P, P); float64 tensors are not copied."""
        gram = cls(0, scatter.device)
        gram.count, gram._mean, gram._scatter = count, mean.double(), scatter.double()
        return gram

    @property
    def mean(self) -> Tensor:
        """Mean of each column, float64 (P,); zeros before the first sample."""
        return self._mean

    @property
    def scatter(self) -> Tensor:
        """Sum over the samples of the outer products about the mean, float64 (P, P), symmetric.

        It is no copy: the next ``update`` or ``merge`` changes it.
        """
        if not self._whole:
            for start, stop in self._bands():
                band = self._scatter[start:stop, start:]
                square = band[:, : stop - start]
                square.copy_(square.triu() + square.triu(1).T)
                self._scatter[stop:, start:stop] = band[:, stop - start :].T
            self._whole = True
        return self._scatter

    def update(self, x: Tensor | np.ndarray) -> None:
        """Take in n >= 0 samples (n, P) of any float dtype, from any device.

        Raises:
            ValueError: the width is not P, or a value is not finite; of the samples, those before its block are then in.
        """
        if x.ndim != 2 or x.shape[1] != len(self._mean):
            raise ValueError(f"samples must be (n, {len(self._mean)}), not {tuple(x.shape)}")
        for start in range(0, x.shape[0], ROWS):
            self._add(_double(x[start : start + ROWS], self._mean.device))

    def merge(self, other: Gram) -> None:
        """Take in the samples of another Gram of the same P, which stays as it is."""
        if len(other._mean) != len(self._mean):
            raise ValueError(f"a Gram of {len(self._mean)} columns cannot take in one of {len(other._mean)}")
        if other.count:
            shift = self._join(other.count, other._mean.to(self._mean.device))
            self._scatter += other.scatter.to(self._scatter.device)
            self._add_products(shift[None])

    def columns(self, index: Tensor | slice) -> Gram:
        """The Gram of some columns, in the order of ``index`` (int64 (k,) or a slice, which copies nothing)."""
        if isinstance(index, slice):
            return Gram.of(self.count, self._mean[index], self.scatter[index, index])
        chosen = torch.arange(len(self._mean), device=self._mean.device)[index]
        return Gram.of(self.count, self._mean[chosen], self.scatter[chosen[:, None], chosen])

    def _add(self, block: Tensor) -> None:
        lowest, highest = block.aminmax(dim=0)
        if not bool((lowest.isfinite() & highest.isfinite()).all()):
            raise ValueError("samples must be finite")
        mean = torch.where(lowest == highest, lowest, block.mean(0))  # rounded, a constant's mean would not be its value
        shift = self._join(len(block), mean)
        self._add_products(torch.cat([block.sub_(mean), shift[None]]))

    def _join(self, count: int, mean: Tensor) -> Tensor:
        """Move count and mean on by those of more samples; return the vector whose outer product the scatter gains (P,)."""
        total = self.count + count
        between = mean - self._mean
        shift = between * (self.count * count / total) ** 0.5
        self._mean = self._mean + between * (count / total) if self.count else mean.clone()
        self.count = total
        return shift

    def _add_products(self, rows: Tensor) -> None:
        for start, stop in self._bands():
            self._scatter[start:stop, start:].addmm_(rows[:, start:stop].T, rows[:, start:])
        self._whole = False

    def _bands(self) -> Iterator[tuple[int, int]]:
        for start in range(0, len(self._mean), COLUMNS):
            yield start, min(start + COLUMNS, len(self._mean))


def _double(block: Tensor | np.ndarray, device: torch.device) -> Tensor:
    """A float64 copy on the device."""
    values = block if isinstance(block, Tensor) else torch.from_numpy(np.array(block, dtype=np.float64))
    return values.detach().to(device, torch.float64, copy=True)


def residual_scatter(scatter: Tensor, outside: Tensor, y: Tensor) -> Tensor:
    """Scatter of the residuals of columns that a chunk predicts: the diagonal of ``S - Y^T Y``, at most NOTHING S being 0.

    Args:
        scatter: float64 (P, P), S.
        outside: int64 (q,), the columns.
        y: float64 (c, q), the inverse Cholesky factor of the chunk's own scatter times its scatter with those columns.

    Returns:
        float64 (q,), on the device of ``scatter``.
    """
    whole = scatter.diagonal()[outside]
    left = whole - y.square().sum(0)
    return torch.where(left > NOTHING * whole, left, 0.0)


def correlation_sums(scatter: Tensor, outside: Tensor, y: Tensor, residual: Tensor, count: int) -> tuple[float, int]:
    """Sum the absolute correlations of the residuals of all pairs of columns that a chunk predicts.

    With ``E = S - Y^T Y`` and ``K = E / (count - 1)`` it is ``|K_ij| / (sqrt(K_ii K_jj) + EPSILON)`` over all i < j; a column
    without a residual is correlated with none.

    Args:
        scatter: float64 (P, P), S.
        outside: int64 (q,), the columns.
        y: float64 (c, q), as for ``residual_scatter``.
        residual: float64 (q,), what ``residual_scatter`` returned.
        count: the samples behind the scatter, at least 2.

    Returns:
        The sum, and the number of pairs, q (q - 1) / 2.
    """
    pairs = len(outside) * (len(outside) - 1) // 2
    left = residual > 0
    if not bool(left.all()):
        outside, y, residual = outside[left], y[:, left], residual[left]
    form: Any = residual_torch
    if scatter.is_cuda and (triton := compiled("_residual_triton")) is not None:
        form = triton.residual_triton
    return float(form(scatter, outside, y, residual.sqrt(), EPSILON * (count - 1))), pairs
