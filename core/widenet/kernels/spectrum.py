"""The principal components of a layer: how many directions its activity takes, from one eigen-decomposition of moments.

Eigenvalues alone are computed, of the covariance or of the correlation matrix. Where units outnumber samples, the M x M matrix
of the samples has the same eigenvalues but for zeros, and is smaller.
"""

from __future__ import annotations

import attrs
import numpy as np
import torch
from torch import Tensor

from widenet.kernels._columns import Columns, as_samples, spans
from widenet.kernels.gram import Gram

PANEL = 1024
"""Columns that are multiplied at a time."""

__all__ = ["Spectrum", "spectrum", "spectrum_of_samples"]


@attrs.frozen(eq=False)
class Spectrum:
    """Eigenvalues of a covariance or correlation matrix, and what is read from them; all is 0 where every unit is constant.

    Args:
        eigenvalues: float64 (n,), ascending, at least 0; of a covariance, in units of the activity squared. n is the number of
            units, for a correlation matrix of those that are not constant.
        constant: bool (N,), the units that are constant.
    """

    eigenvalues: Tensor
    constant: Tensor

    def components(self, energy: float) -> int:
        """The smallest number of leading components whose share of the variance is strictly above ``energy`` (original code).

        Raises:
            ValueError: ``energy`` is not at least 0 and below 1.
        """
        if not 0 <= energy < 1:
            raise ValueError(f"energy must be at least 0 and below 1, not {energy}")
        share = self._shares().flip(0).cumsum(0)
        return min(int((share <= energy).sum()) + 1, int(self.eigenvalues.count_nonzero()))

    def participation_ratio(self) -> float:
        """``(sum l)^2 / sum l^2``: n for n equal eigenvalues, 1 for one alone."""
        return _inverse(self._shares().square().sum())

    def effective_rank(self) -> float:
        """``exp(-sum p log p)`` of the shares p, the exponential of their entropy (Roy and Vetterli, 2007)."""
        shares = self._shares()
        return float(torch.special.entr(shares).sum().exp()) if shares.any() else 0.0

    def stable_rank(self) -> float:
        """``sum l / max l``: of the centred samples, the squared Frobenius norm over the squared spectral norm."""
        return _inverse(self._shares()[-1:].sum())

    def _shares(self) -> Tensor:
        """Each eigenvalue's share of their sum, or 0; taken of the largest first, so that no square can overflow."""
        if not bool(self.eigenvalues.any()):
            return self.eigenvalues
        shares = self.eigenvalues / self.eigenvalues[-1]
        return shares / shares.sum()


def spectrum(gram: Gram, correlation: bool = False) -> Spectrum:
    """Eigenvalues of the covariance (ddof 1) of a Gram's columns, or of their correlation matrix.

    A covariance depends on the units' scales, which a network of ReLUs can change without changing its function; a correlation
    matrix does not. One sample alone has a covariance of 0.

    Raises:
        ValueError: the Gram holds no sample.
    """
    if not gram.count:
        raise ValueError("a spectrum needs at least one sample")
    matrix = gram.scatter
    squares = matrix.diagonal()
    constant = squares <= 0
    if correlation:
        live, scale = ~constant, squares[~constant].rsqrt()
        matrix = matrix[live][:, live] * scale[:, None] * scale
    else:
        matrix = matrix / max(1, gram.count - 1)
    return Spectrum(torch.linalg.eigvalsh(matrix).clamp_(min=0), constant)


def spectrum_of_samples(x: Tensor | np.ndarray, correlation: bool = False) -> Spectrum:
    """The same spectrum from samples (M, N) at hand: by their M x M matrix where M < N, else by a Gram.

    Args:
        x: any real dtype and layout, on any device; it is read and not changed.
        correlation: as for ``spectrum``.

    Raises:
        ValueError: ``x`` is not (M, N), holds no sample, or is not finite.
    """
    x = as_samples(x)
    samples, units = x.shape
    if samples >= units:
        gram = Gram(units, x.device)
        gram.update(x)
        return spectrum(gram, correlation)
    columns = Columns.of(x)
    constant = columns.scale.isnan()
    scale = columns.scale.nan_to_num(0) if correlation else torch.full_like(columns.scale, max(1, samples - 1) ** -0.5)
    columns = attrs.evolve(columns, scale=scale)
    products = scale.new_zeros(samples, samples)
    for panel in spans(units, PANEL):
        block = columns.block(slice(None), panel)
        products.addmm_(block, block.T)
    values = torch.linalg.eigvalsh(products).clamp_(min=0)
    found = units - int(constant.sum()) if correlation else units
    return Spectrum(torch.cat([values.new_zeros(max(0, found - samples)), values[max(0, samples - found) :]]), constant)


def _inverse(value: Tensor) -> float:
    """One over the value, or 0 where there is nothing."""
    return 1 / float(value) if value > 0 else 0.0
