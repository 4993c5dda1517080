"""How quantities of a network grow with its width: pure functions of values by width factor.

Source: the notebooks of the original code of Casper et al., "Frivolous Units", AAAI 2021. The slope and its interval are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]
DOUBLING = 1e-6
"""How far, relatively, a ratio of widths may lie from 2."""


def normalised(values: ArrayLike, factors: ArrayLike, largest: float | None = None) -> Values:
    """``value * f / f_max``: a fraction of a network's own units as one of the widest network's, float64.

    Args:
        values: (..., S), by width factor along the last axis.
        factors: the width factors, (S,).
        largest: f_max; the largest of the factors if None.

    Raises:
        ValueError: as many factors as values are not there, or one is not above 0.
    """
    return np.asarray(values, dtype=np.float64) * _shares(values, factors, largest)


def complement(values: ArrayLike, factors: ArrayLike, largest: float | None = None) -> Values:
    """``f / f_max`` less the :func:`normalised` value: what is not prunable, or not redundant. Arguments are the same."""
    return _shares(values, factors, largest) - normalised(values, factors, largest)


def _shares(values: ArrayLike, factors: ArrayLike, largest: float | None) -> Values:
    widths = np.asarray(factors, dtype=np.float64)
    if widths.ndim != 1 or np.shape(values)[-1:] != widths.shape or not (widths > 0).all():
        raise ValueError(f"values {np.shape(values)} need a width factor above 0 for each place of their last axis")
    return widths / (widths.max() if largest is None else largest)


def over_orders(values: ArrayLike, how: Literal["mean", "max", "min"], axis: int = 0) -> Values:
    """One value for several random orders of ablation.

    The study takes the best of three, ``max``, and of the complement ``min``, so that both add up to f / f_max. It rises with
    the number of orders; the mean does not.
    """
    array = np.asarray(values, dtype=np.float64)
    if how == "mean":
        return array.mean(axis=axis)
    return array.max(axis=axis) if how == "max" else array.min(axis=axis)


def mean_and_deviation(values: ArrayLike, axes: int | tuple[int, ...] = 0) -> tuple[Values, Values]:
    """Mean and population deviation over axes (seeds, repeats, layers), as published."""
    array = np.asarray(values, dtype=np.float64)
    return array.mean(axis=axes), array.std(axis=axes)


def growth(values: ArrayLike, skip: int = 0) -> Values:
    """Growth factor g: the mean ratio of values at consecutive (doubled) widths, float64 (...,); NaN where there is no ratio.

    2 is in proportion to the width. As in the study zeros are missing values, and so is NaN; ratios with them do not count.

    Args:
        values: (..., S), by width along the last axis.
        skip: first steps that are left out; the study leaves out one for redundancy.
    """
    array = np.asarray(values, dtype=np.float64)
    array = np.where(array == 0, np.nan, array)
    ratios = (array[..., 1:] / array[..., :-1])[..., skip:]
    counted = np.isfinite(ratios)
    total = np.where(counted, ratios, 0.0).sum(-1)
    return np.divide(total, counted.sum(-1), out=np.full(total.shape, np.nan), where=counted.any(-1))


def log2_slope(values: ArrayLike, factors: ArrayLike) -> float:
    """Slope of log2(value) over log2(width) by least squares, 1 being in proportion to the width.

    Values (S,) that are not above 0 have no logarithm and do not count; NaN where fewer than two widths are left.
    """
    y, x = np.asarray(values, dtype=np.float64), np.asarray(factors, dtype=np.float64)
    able = np.isfinite(y) & (y > 0)
    if len(set(x[able])) < 2:
        return float("nan")
    x, y = np.log2(x[able]), np.log2(y[able])
    x = x - x.mean()
    return float(x @ y / (x @ x))


@attrs.frozen
class Growth:
    """Growth of a quantity: factor and slope of its means by width, each with the interval of 95 % of the bootstrap samples.

    An interval is None where each width has one run, since nothing then tells how much runs differ; a factor or a slope is
    None where there are too few values above 0.
    """

    factor: float | None
    slope: float | None
    factor_interval: tuple[float, float] | None
    slope_interval: tuple[float, float] | None


def bootstrapped(
    values: Sequence[ArrayLike], factors: Sequence[float], skip: int = 0, resamples: int = 1000, seed: int = 0
) -> Growth:
    """Growth of the means over runs, and intervals from runs drawn anew within each width.

    Args:
        values: for each width the values of its runs, (runs,), of any number.
        factors: the width factors, ascending.
        skip: as of :func:`growth`.
        resamples: bootstrap samples.
        seed: of their draws.
    """
    runs = [np.asarray(each, dtype=np.float64) for each in values]
    means = np.array([each.mean() for each in runs])
    found: dict[str, Any] = {"factor": _number(growth(means, skip)), "slope": _number(log2_slope(means, factors))}
    generator = np.random.default_rng(seed)
    drawn = np.stack([generator.choice(each, (resamples, len(each))).mean(1) for each in runs], 1)
    several = any(len(each) > 1 for each in runs)
    factors_drawn = growth(drawn, skip) if several else np.zeros(0)
    slopes_drawn = np.array([log2_slope(each, factors) for each in drawn]) if several else np.zeros(0)
    return Growth(**found, factor_interval=_interval(factors_drawn), slope_interval=_interval(slopes_drawn))


def doubling(factors: Sequence[float]) -> list[float]:
    """The distinct width factors, ascending.

    Raises:
        ValueError: there is a single one, or one is not twice the one before; the message names them.
    """
    widths = sorted(set(factors))
    if len(widths) < 2:
        raise ValueError(f"a single width, {widths[0]:g}" if widths else "no width")
    for narrow, wide in pairwise(widths):
        if abs(wide / narrow - 2) > 2 * DOUBLING:
            raise ValueError(f"widths {', '.join(f'{width:g}' for width in widths)}, where {wide:g} is not twice {narrow:g}")
    return widths


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _interval(drawn: Values) -> tuple[float, float] | None:
    drawn = drawn[np.isfinite(drawn)]
    return (float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))) if len(drawn) else None
