"""Searching for the level at which a curve crosses a threshold, by halving; which level to measure next, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise


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
