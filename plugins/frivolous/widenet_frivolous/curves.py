"""Ablation curves: where they cross a level, what to measure to find out, sums over orders; pure functions of numbers.

Source: Casper et al., "Frivolous Units: Wider Networks Are Not Really That Wide", AAAI 2021, and its code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

NEARLY = 1e-9
"""What is added before rounding, so that 0.3 * 5 counts as the 1.5 that it is."""


def threshold(levels: Sequence[float], curve: Sequence[float], at: float = 0.8) -> float:
    """The fraction of units at which ``curve`` first falls below ``at``, by linear interpolation (original code, notebooks).

    The first i with curve[i] >= at > curve[i + 1] counts. A curve that never crosses gives its own first value, as published:
    that is 1 of one that starts at 1 and stays above (everything is prunable), and of one that starts below it is no fraction.

    Args:
        levels: ascending fractions (L,) of units that are ablated.
        curve: fractions (L,) of labels that stay.
        at: fraction of the labels that must stay.

    Raises:
        ValueError: no points, or not as many levels as points.
    """
    if len(levels) != len(curve) or not len(curve):
        raise ValueError(f"a curve needs as many levels as points, and one at least, not {len(levels)} and {len(curve)}")
    for (x, y), (next_x, next_y) in pairwise(zip(levels, curve, strict=True)):
        if y >= at > next_y:
            return float(x + (next_x - x) * (at - y) / (next_y - y))
    return float(curve[0])


def middle(measured: Mapping[float, float], at: float, grid: int) -> float | None:
    """The next level to measure on the way to where a curve first falls below ``at``, or None where it has been found.

    The first interval of measured levels across which the curve falls below is halved until no multiple of ``1 / grid`` lies
    inside. A curve that rises again may cross more than once; one crossing is found. One that never falls below has none.

    Args:
        measured: the curve at some levels, both ends among them.
        at: what must stay.
        grid: the finest levels are its multiples, such as the number of units.
    """
    for (low, above), (high, below) in pairwise(sorted(measured.items())):
        if above >= at > below:
            between = round((low + high) / 2 * grid) / grid
            return between if low < between < high else None
    return None


def counts(units: int, levels: Sequence[float], truncate: bool = False) -> list[int]:
    """How many of ``units`` each level (a fraction) stands for: the nearest number, a half upwards.

    ``truncate`` cuts off as the original code does, where 1/6 of 4 units are none, and 5/6 of 288 are 239.

    Raises:
        ValueError: a level is not from 0 to 1.
    """
    if any(not 0 <= level <= 1 for level in levels):
        raise ValueError("levels are fractions of the units, from 0 to 1")
    return [int(level * units) if truncate else math.floor(level * units + 0.5 + NEARLY) for level in levels]


def area(levels: Sequence[float], curve: Sequence[float]) -> float:
    """Area under a curve by trapezia, divided by the width of its levels: what stays on average, whatever the spacing.

    (The original's AUC is the plain mean of its seven points, in which both ends count twice as much.)
    """
    x, y = np.asarray(levels, dtype=float), np.asarray(curve, dtype=float)
    if len(x) < 2 or x[-1] == x[0]:
        return float(y.mean())
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / (x[-1] - x[0]))


def spread(values: Sequence[float], quantiles: Sequence[float] = (0.1, 0.9)) -> dict[str, float]:
    """Mean, sample deviation (0 of one value), two quantiles and the largest of values over orders.

    ``best`` is the original's statistic, its best of three orders: it grows with the number of orders.
    """
    found = np.asarray(values, dtype=float)
    low, high = np.quantile(found, quantiles)
    deviation = float(found.std(ddof=1)) if len(found) > 1 else 0.0
    return {"mean": float(found.mean()), "sd": deviation, "low": float(low), "high": float(high), "best": float(found.max())}
