"""How alike two layers are, by what they put out on the same samples: pure functions of two matrices.

Sources: linear CKA of Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019; SVCCA of Raghu
et al., NeurIPS 2017; mappability of units, which the original code of Casper et al., AAAI 2021, had before its release.
"""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

RANK = 1e-10
"""Singular values up to this part of the largest, times the matrix's longer side, are rounding."""


@attrs.frozen(eq=False)
class Layer:
    """What is made once of a layer's outputs x (M, N), to compare it with any other on the same M samples.

    Everything is float64.
    """

    x: Tensor
    """The outputs as they are, (M, N)."""
    centred: Tensor
    """The outputs without the mean of each unit, exactly 0 where a unit is constant, (M, N)."""
    basis: Tensor
    """Orthonormal basis of the centred outputs, (M, rank), largest variance first."""
    singular: Tensor
    """The singular values that go with it, (rank,)."""
    span: Tensor
    """Orthonormal basis of the outputs as they are, (M, rank of x)."""

    @classmethod
    def of(cls, x: Tensor) -> Layer:
        """Make it of outputs (M, N) of any float dtype.

        Raises:
            ValueError: there are fewer than two samples, no unit, or a value that is not finite.
        """
        if x.ndim != 2 or len(x) < 2 or not x.shape[1]:
            raise ValueError(f"outputs must be (M, N) of two samples or more, not {tuple(x.shape)}")
        if not bool(x.isfinite().all()):
            raise ValueError("outputs must be finite")
        x = x.double()
        varies = x.amax(0) > x.amin(0)
        centred = (x - x.mean(0)).where(varies, 0.0)
        basis, singular = _basis(centred)
        return cls(x, centred, basis, singular, _basis(x)[0])

    @property
    def live(self) -> Tensor:
        """Units that vary over the samples, bool (N,)."""
        return (self.centred != 0).any(0)


def _basis(x: Tensor) -> tuple[Tensor, Tensor]:
    """Left singular vectors and singular values of a matrix, those of rounding left out."""
    vectors, values, _ = torch.linalg.svd(x, full_matrices=False)
    kept = values > RANK * max(x.shape) * values[:1].clamp(min=torch.finfo(values.dtype).tiny)
    return vectors[:, kept], values[kept]


def _same_samples(one: Layer, other: Layer) -> None:
    if len(one.x) != len(other.x):
        raise ValueError(f"layers must be of the same samples, not of {len(one.x)} and {len(other.x)}")


def linear_cka(one: Layer, other: Layer) -> float:
    """Linear CKA in [0, 1]: the squared norm of the cross-covariance over those of both covariances; 0 of a constant layer.

    Raises:
        ValueError: the layers are of different numbers of samples.
    """
    _same_samples(one, other)
    a, b = one.singular.square(), other.singular.square()
    if not len(a) or not len(b):
        return 0.0
    # Within the bases, where sizes are ranks; scaled by the largest, so that no square overflows.
    overlap = (one.basis.T @ other.basis).square()
    a, b = a / a[0], b / b[0]
    return _bounded(float((a[:, None] * overlap * b).sum() / (a.norm() * b.norm())))


def canonical_correlations(one: Layer, other: Layer, variance: float = 1.0) -> Tensor:
    """Canonical correlations in [0, 1], float64 (k,), descending, of the directions that hold this share of each variance.

    k is the smaller number of directions; none where a layer is constant. They are the cosines between two subspaces, so no
    matrix is inverted, and none exceeds 1.

    Raises:
        ValueError: the layers are of different numbers of samples, or the variance is not in (0, 1].
    """
    _same_samples(one, other)
    if not 0 < variance <= 1:
        raise ValueError(f"the share of the variance must lie in (0, 1], not {variance}")
    a, b = (_leading(layer, variance) for layer in (one, other))
    return torch.linalg.svdvals(a.T @ b).clamp(0, 1) if a.shape[1] and b.shape[1] else torch.zeros(0, dtype=torch.float64)


def _leading(layer: Layer, variance: float) -> Tensor:
    """The fewest leading directions that hold this share of the variance."""
    if variance == 1 or not len(layer.singular):
        return layer.basis
    shares = (layer.singular / layer.singular[0]).square()
    held = shares.cumsum(0) / shares.sum()
    return layer.basis[:, : int((held < variance).sum()) + 1]


def svcca(one: Layer, other: Layer, variance: float = 0.99) -> float:
    """Mean canonical correlation of the directions that hold this share of each variance; 0 where a layer is constant."""
    found = canonical_correlations(one, other, variance)
    return float(found.mean()) if len(found) else 0.0


def cca_r2(one: Layer, other: Layer) -> float:
    """Mean squared canonical correlation over the smaller rank, in [0, 1]; 0 where a layer is constant."""
    found = canonical_correlations(one, other)
    return float(found.square().mean()) if len(found) else 0.0


def best_correlation(one: Layer, other: Layer) -> Tensor:
    """The largest |r| of each unit of ``one`` with a unit of ``other``, in [0, 1], float64 (N,); 0 of a constant unit."""
    _same_samples(one, other)
    a, b = (_unit_columns(layer.centred) for layer in (one, other))
    return (a.T @ b).abs().amax(1).clamp(0, 1)


def projection_residual(one: Layer, other: Layer) -> Tensor:
    """Norm of what of each unit of ``one`` lies outside the span of the units of ``other``, over its own, in [0, 1].

    Float64 (N,). As in the original, units are not centred; NaN of a unit that is 0 on every sample.
    """
    _same_samples(one, other)
    x = one.x / one.x.abs().amax(0).clamp(min=torch.finfo(torch.float64).tiny)
    left = x - other.span @ (other.span.T @ x)
    return (left.norm(dim=0) / x.norm(dim=0)).clamp(0, 1)


def nearest_distance(one: Layer, other: Layer) -> Tensor:
    """Euclidean distance of each unit of ``one`` to the nearest unit of ``other``, each divided by its sum: float64 (N,).

    A unit without a sum, as a dead one, has no distance, NaN, and is nearest to none. As in the original only units whose
    activations are not negative are compared in earnest.
    """
    _same_samples(one, other)
    a, b = (layer.x.T / layer.x.sum(0)[:, None] for layer in (one, other))
    a, there = a.where(a.isfinite(), torch.nan), b[b.isfinite().all(1)]
    if not len(there):
        return torch.full((len(a),), torch.nan, dtype=torch.float64)
    whole = a.isfinite().all(1)
    found = torch.full((len(a),), torch.nan, dtype=torch.float64)
    found[whole] = torch.cdist(a[whole], there, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
    return found


def _unit_columns(x: Tensor) -> Tensor:
    """Columns of norm 1; columns of zeros stay so."""
    scaled = x / x.abs().amax(0).clamp(min=torch.finfo(torch.float64).tiny)
    norm = scaled.norm(dim=0)
    return scaled / norm.where(norm > 0, 1.0)


def _bounded(value: float) -> float:
    return min(1.0, max(0.0, value))
