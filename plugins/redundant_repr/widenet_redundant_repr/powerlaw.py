"""How the error falls with the size of a chunk, and the size from which a chunk knows all that its layer knows."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from scipy.optimize import least_squares

Law = tuple[float, float, float]
"""Exponent, amplitude and error at infinity."""


@attrs.frozen
class PowerLaw:
    """``error(c) = error_infinity + amplitude * c ** -exponent``, fitted to the mean errors (fractions) of chunks of c neurons.

    The ``*_error`` fields are standard errors, 0 for an ``error_infinity`` that was given. What could not be found is None, and
    ``reason`` says why; it is empty where everything was. The paper's line for WRN28-8 has exponent 1/2 and amplitude 0.12.
    """

    exponent: float | None = None
    amplitude: float | None = None
    error_infinity: float | None = None
    exponent_error: float | None = None
    amplitude_error: float | None = None
    error_infinity_error: float | None = None
    reason: str = ""


def critical_width(
    sizes: Sequence[int],
    r2: Sequence[float],
    train_error: Sequence[float],
    full_train_error: float,
    r2_threshold: float = 0.99,
    tolerance: float = 0.01,
) -> int | None:
    """The smallest size w_c* with R2 of ``r2_threshold`` or more and training error within ``tolerance`` of the full layer's.

    ``r2`` and ``train_error`` are means over the chunks of each of ``sizes``, errors as fractions; None where no size has both.
    A layer of width P then holds ``P // w_c*`` clones. The paper shades this region by eye; the rule is this project's.
    """
    able = zip(sizes, r2, train_error, strict=True)
    return min((c for c, known, error in able if known >= r2_threshold and error <= full_train_error + tolerance), default=None)


def fit_power_law(
    sizes: Sequence[int],
    errors: np.ndarray,
    start: int,
    error_infinity: float | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> PowerLaw:
    """Fit the decay of ``errors`` (len(sizes), R), fractions per chunk, over the sizes from ``start`` on.

    With ``error_infinity`` given, a line through log(mean error - error_infinity) over log(size), by least squares; sizes whose
    mean error is not above it are left out. With None it is a third parameter, from 0 to the smallest mean error, and the
    squares are those of log(model / mean error). Standard errors come from ``resamples`` bootstrap samples of the chunks of a
    size, drawn with ``seed``; they need two chunks a size.
    """
    from_start = np.asarray(sizes) >= start
    widths, values = np.asarray(sizes, np.float64)[from_start], np.asarray(errors, np.float64)[from_start]
    law = _fitted(widths, values.mean(1), error_infinity)
    if law is None:
        least, floor = (3, 0.0) if error_infinity is None else (2, error_infinity)
        return PowerLaw(reason=f"fewer than {least} sizes from {start} on have a mean error above {floor:.4g}")
    if law[0] <= 0:
        return PowerLaw(reason=f"the mean error does not fall with the size from {start} on")
    again = _resampled(widths, values, error_infinity, resamples, seed) if values.shape[1] > 1 else []
    if len(again) < 2:
        return PowerLaw(*law, reason="no standard errors: they need two chunks a size, and two resamples that can be fitted")
    exponent, amplitude, infinity = np.std(again, axis=0, ddof=1).tolist()
    return PowerLaw(*law, exponent, amplitude, infinity if error_infinity is None else 0.0)


def _resampled(widths: np.ndarray, values: np.ndarray, infinity: float | None, resamples: int, seed: int) -> list[Law]:
    """The laws of bootstrap samples, without those that cannot be fitted."""
    generator = np.random.default_rng(seed)
    drawn = (generator.integers(values.shape[1], size=values.shape) for _ in range(resamples))
    means = (np.take_along_axis(values, chosen, 1).mean(1) for chosen in drawn)
    return [law for mean in means if (law := _fitted(widths, mean, infinity)) is not None]


def _fitted(widths: np.ndarray, means: np.ndarray, infinity: float | None) -> Law | None:
    """The law of mean errors (K,), or None with too few of them."""
    return _free(widths, means) if infinity is None else _line(widths, means, infinity)


def _line(widths: np.ndarray, means: np.ndarray, infinity: float) -> Law | None:
    able = means > infinity
    if able.sum() < 2:
        return None
    slope, intercept = np.polyfit(np.log(widths[able]), np.log(means[able] - infinity), 1)
    return -float(slope), float(np.exp(intercept)), infinity


def _free(widths: np.ndarray, means: np.ndarray) -> Law | None:
    able = means > 0
    if able.sum() < 3:
        return None
    widths, means = widths[able], means[able]
    least = float(means.min())
    first = _line(widths, means, least / 2)
    assert first is not None  # at least three means are above half of the smallest

    def residuals(parameters: np.ndarray) -> np.ndarray:
        exponent, log_amplitude, share = parameters
        return np.log(share * least + np.exp(log_amplitude - exponent * np.log(widths))) - np.log(means)

    bounds = ([-np.inf, -np.inf, 0.0], [np.inf, np.inf, 1.0])
    exponent, log_amplitude, share = least_squares(residuals, [first[0], np.log(first[1]), 0.5], bounds=bounds).x
    return float(exponent), float(np.exp(log_amplitude)), float(share * least)
