"""Paired tests over seeds, against scipy's own numbers and by hand."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from widenet.paired import Paired, holm, paired

BASE = {0: 0.90, 1: 0.91, 2: 0.93, 3: 0.90}
OTHER = {0: 0.92, 1: 0.915, 2: 0.96, 3: 0.91}


def test_the_t_test_by_hand():
    """Differences 2, 0.5, 3, 1 per cent: mean 1.625, deviation 1.1087, t = 1.625 / (1.1087 / 2)."""
    found = paired(BASE, OTHER)
    assert found.seeds == (0, 1, 2, 3)
    assert found.difference == pytest.approx(0.01625)
    assert found.t == pytest.approx(2.9314, abs=1e-4)
    half = 3.18245 * 0.0110868 / 2
    assert (found.low, found.high) == (pytest.approx(0.01625 - half, abs=1e-6), pytest.approx(0.01625 + half, abs=1e-6))
    assert found.p == pytest.approx(2 * stats.t.sf(found.t, 3))
    assert (found.wilcoxon, found.why) == (None, "")
    turned = paired(OTHER, BASE)
    assert (turned.difference, turned.t, turned.p) == (-found.difference, -found.t, found.p)


def test_only_common_seeds_count():
    assert paired({**BASE, 7: 0.1}, {**OTHER, 8: 0.2}) == paired(BASE, OTHER)


def test_signed_ranks_are_exact_also_with_ties():
    """Over all signs, the share of rank sums at least as far from their middle."""
    differences = [1, 2, 2, -1, 3, 4, 5]
    ranks = stats.rankdata(np.abs(differences))
    sums = [sum(r for r, sign in zip(ranks, signs, strict=True) if sign) for signs in itertools.product([0, 1], repeat=7)]
    middle, found = ranks.sum() / 2, sum(r for r, d in zip(ranks, differences, strict=True) if d > 0)
    expected = np.mean([abs(s - middle) >= abs(found - middle) for s in sums])
    base = dict.fromkeys(range(7), 0.0)
    assert paired(base, dict(enumerate(differences))).wilcoxon == pytest.approx(expected)
    six = dict(enumerate(range(1, 7)))
    assert paired(base, {**six, 5: 0.0}).wilcoxon is None
    assert paired(base, six).wilcoxon == paired(base, {**six, 6: 0.0}).wilcoxon == pytest.approx(2 / 2**6), "zeros say nothing"
    many = {seed: 1.0 + seed for seed in range(40)}
    assert paired(dict.fromkeys(many, 0.0), many).wilcoxon < 1e-6


@pytest.mark.parametrize(
    ("baseline", "other", "expected"),
    [
        ({0: 1.0}, {1: 2.0}, Paired(seeds=(), why="no seed in common")),
        ({}, {}, Paired(seeds=(), why="no seed in common")),
        (
            {0: 1.0, 3: 2.0},
            {3: 2.5, 4: 1.0},
            Paired(seeds=(3,), difference=0.5, why="one seed in common (3), a test needs two"),
        ),
        (
            {0: 1.0, 1: 2.0},
            {0: 1.5, 1: 2.5},
            Paired(seeds=(0, 1), difference=0.5, why="all 2 differences are equal, there is no spread"),
        ),
        (
            dict.fromkeys(range(3), 0.0),
            dict.fromkeys(range(3), 0.0),
            Paired(seeds=(0, 1, 2), difference=0.0, why="all 3 differences are equal, there is no spread"),
        ),
    ],
)
def test_where_there_is_no_test_it_says_why(baseline, other, expected):
    assert paired(baseline, other) == expected


def test_differences_that_are_equal_but_for_rounding():
    base = {seed: 0.1 * seed for seed in range(8)}
    found = paired(base, {seed: value + 0.1 for seed, value in base.items()})
    assert found.why == "all 8 differences are equal, there is no spread"
    assert found.p is None


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([None]) == [None]
    assert holm([]) == []
    values = [0.001, 0.2, 0.02, 0.04, 0.6]
    assert all(math.isclose(c, min(1, c)) and c >= v for c, v in zip(holm(values), values, strict=True))
