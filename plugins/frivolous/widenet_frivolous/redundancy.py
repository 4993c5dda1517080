"""How redundant a layer's units are: pure functions of its spectrum, its Gram and its class means.

Source: the original code of Casper et al., "Frivolous Units", AAAI 2021; where this differs, the function says so.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from widenet.kernels.gram import Gram

BLOCK = 512
"""Rows of a correlation matrix that are made at a time."""
NOT_SELECTIVE = 0.05
"""Selectivity below which the original counts a unit as not selective."""


def compressibility(eigenvalues: Tensor | np.ndarray, energy: float = 0.95) -> float:
    """The published redundancy fraction k / N: the k smallest eigenvalues are the fewest whose share exceeds ``1 - energy``.

    It counts one direction too many, (N - n + 1) / N with n the components for ``energy``: :func:`redundant` does not. Of a
    layer without variance all directions are redundant, 1.

    Args:
        eigenvalues: of the units' covariance, (N,) in any order; below 0 they are rounding and count as 0.
        energy: share of the variance, between 0 and 1.

    Raises:
        ValueError: no eigenvalue, one that is not finite, or another energy.
    """
    values = _checked(eigenvalues, energy)
    total = values.sum()
    if not total:
        return 1.0
    shares = values.cumsum() / total
    return int(np.searchsorted(shares, 1 - energy, side="right") + 1) / len(values)


def redundant(eigenvalues: Tensor | np.ndarray, energy: float = 0.95) -> float:
    """Fraction (N - n) / N of directions that are not among the n largest whose share of the variance exceeds ``energy``.

    Arguments and errors as of :func:`compressibility`; of a layer without variance it is 1.
    """
    values = _checked(eigenvalues, energy)
    total = values.sum()
    if not total:
        return 1.0
    shares = values[::-1].cumsum() / total
    needed = min(len(values), int(np.searchsorted(shares, energy, side="right")) + 1)
    return (len(values) - needed) / len(values)


def _checked(eigenvalues: Tensor | np.ndarray, energy: float) -> np.ndarray:
    """The eigenvalues float64 (N,), ascending and none below 0."""
    values = np.sort(np.asarray(eigenvalues, dtype=np.float64))
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"eigenvalues must be finite and at least one, (N,), not of shape {values.shape}")
    if not 0 < energy < 1:
        raise ValueError(f"energy must lie between 0 and 1, not {energy}")
    return values.clip(min=0)


def live_units(gram: Gram) -> Tensor:
    """Which units vary over the samples, bool (N,); the others are constant, as dead ReLUs are."""
    return gram.scatter.diagonal() > 0


def predictability(gram: Gram, ridge: float = 1e-6) -> Tensor:
    """R2 of each unit as a linear function of all the others, in [0, 1], float64 (N,); NaN of constant units.

    With R the correlation matrix of the units that vary it is ``1 - 1 / ((1 + ridge) inv(R + ridge I)_ii)``: 0 of a unit that
    is correlated with none. With no more samples than units anything is predictable, so ``gram`` must have more.

    Raises:
        ValueError: the ridge is not above 0, or samples are too few.
    """
    if ridge <= 0:
        raise ValueError(f"the ridge must be above 0, not {ridge}")
    live = live_units(gram)
    units = int(live.sum())
    if gram.count <= units + 1:
        raise ValueError(f"{gram.count} samples of {units} units: any unit is predictable then; take more samples")
    found = torch.full((len(live),), torch.nan, dtype=torch.float64, device=live.device)
    if units:
        matrix = torch.cat(list(_correlations(gram, live)))
        matrix.diagonal().fill_(1 + ridge)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(matrix)).diagonal()
        found[live] = (1 - 1 / ((1 + ridge) * inverse)).clamp(0, 1)
    return found


def _correlations(gram: Gram, live: Tensor) -> Iterator[Tensor]:
    """The correlation matrix of the units that vary, float64, in blocks of rows, so that no second one is made on the way."""
    index = live.nonzero().flatten()
    norm = gram.scatter.diagonal()[index].sqrt()
    for start in range(0, len(index), BLOCK):
        rows = slice(start, start + BLOCK)
        yield (gram.scatter[index[rows, None], index] / norm[rows, None] / norm).clamp(-1, 1)


def preferred(means: Tensor, sizes: Tensor) -> Tensor:
    """The class with each unit's highest mean activation, int64 (N,); the first of equal ones, none without samples.

    Args:
        means: mean activation of each class, float (C, N).
        sizes: samples of each class, int (C,).

    Raises:
        ValueError: no class has samples.
    """
    if not bool((sizes > 0).any()):
        raise ValueError("no class has samples, so no unit prefers one")
    return means.where((sizes > 0)[:, None], -torch.inf).argmax(0)


def selectivity(means: Tensor, sizes: Tensor, classes: Tensor | None = None) -> Tensor:
    """Class selectivity (m - r) / (m + r) of each unit, float64 (N,): m its mean in one class, r over samples of all others.

    It lies in [0, 1] where no activation is negative and the class is the preferred one. NaN where m + r is 0 (dead units), and
    where that class, or all others together, have no sample.

    Args:
        means: mean activation of each class, float (C, N).
        sizes: samples of each class, int (C,).
        classes: int64 (N,), the class of each unit; the :func:`preferred` ones if None. Those of the training samples tell on
            the test samples whether selectivity generalises.
    """
    classes = preferred(means, sizes) if classes is None else classes
    sizes = sizes.double()
    sums = means.double().where((sizes > 0)[:, None], 0.0) * sizes[:, None]
    own, count = sums.gather(0, classes[None])[0], sizes[classes]
    mean, rest = own / count, (sums.sum(0) - own) / (sizes.sum() - count)
    return ((mean - rest) / (mean + rest)).where(mean + rest != 0, torch.nan)


def not_selective(values: Tensor) -> float:
    """Fraction of units whose selectivity is below 0.05; as in the original code, an undefined one counts as 0."""
    return float((values.nan_to_num(0.0) < NOT_SELECTIVE).double().mean())


def published_similarity(counts: Tensor) -> tuple[float, float]:
    """Mean and population deviation of similar-unit counts int64 (N,) over all units, constant ones as -1 (original code)."""
    values = counts.double()
    return float(values.mean()), float(values.std(correction=0))
