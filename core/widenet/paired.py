"""Paired tests over seeds: whether two groups of runs differ by more than seeds do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

CONFIDENCE = 0.95
ENOUGH = 6
"""Pairs that differ from which Wilcoxon's test can tell anything: of five its smallest p is 1/16."""
EXACT = 13
"""Pairs up to which all signs are gone through."""
SAME = 1e-12
"""Spread of the differences, relative to the values, that is rounding."""


@attrs.frozen(kw_only=True)
class Paired:
    """What pairs of values with the same seed say of the difference of two groups, the other less the baseline."""

    seeds: tuple[int, ...]
    """Those that both have a value of."""
    difference: float | None = None
    """Mean over the pairs."""
    low: float | None = None
    """Lower end of its 95 % interval (t distribution)."""
    high: float | None = None
    t: float | None = None
    p: float | None = None
    """Two-sided, of the paired t-test."""
    wilcoxon: float | None = None
    """Two-sided p of the signed-rank test, from six pairs that differ."""
    why: str = ""
    """Why there is no test."""


def paired(baseline: Mapping[int, float], other: Mapping[int, float]) -> Paired:
    """Compare two groups by their values of the same seed."""
    import numpy as np
    from scipy import stats

    seeds = tuple(sorted(baseline.keys() & other.keys()))
    if not seeds:
        return Paired(seeds=seeds, why="no seed in common")
    before, after = (np.array([values[seed] for seed in seeds], dtype=float) for values in (baseline, other))
    differences = after - before
    mean = float(differences.mean())
    if len(seeds) < 2:
        return Paired(seeds=seeds, difference=mean, why=f"one seed in common ({seeds[0]}), a test needs two")
    if np.ptp(differences) <= SAME * max(np.abs(before).max(), np.abs(after).max()):
        return Paired(seeds=seeds, difference=mean, why=f"all {len(seeds)} differences are equal, there is no spread")
    test = stats.ttest_rel(after, before)
    low, high = map(float, test.confidence_interval(CONFIDENCE))
    rank = _wilcoxon(differences[differences != 0])
    return Paired(
        seeds=seeds, difference=mean, low=low, high=high, t=float(test.statistic), p=float(test.pvalue), wilcoxon=rank
    )


def _wilcoxon(differences: Sequence[float]) -> float | None:
    """Exact, also with ties, as long as all signs can be gone through."""
    from scipy import stats

    if len(differences) < ENOUGH:
        return None
    method = stats.PermutationMethod(n_resamples=2**EXACT) if len(differences) <= EXACT else "auto"
    return float(stats.wilcoxon(differences, method=method).pvalue)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Each p value corrected for all that are there, by Holm's step-down procedure."""
    found = sorted((value, number) for number, value in enumerate(values) if value is not None)
    corrected: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (value, number) in enumerate(found):
        largest = max(largest, min(1.0, value * (len(found) - rank)))
        corrected[number] = largest
    return corrected
