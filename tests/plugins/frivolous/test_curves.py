"""Thresholds, counts, areas and the search between levels, as they are defined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widenet_frivolous.curves import area, counts, middle, spread, threshold

falling = st.lists(st.floats(0, 1), min_size=2, max_size=12).map(lambda values: [1.0, *sorted(values, reverse=True)])


def test_a_threshold_lies_between_the_levels_around_it():
    assert threshold([0, 0.5, 1], [1, 0.9, 0.1], 0.5) == pytest.approx(0.75)
    assert threshold([0, 0.5, 1], [1, 0.5, 0.1], 0.5) == 0.5


def test_a_curve_that_stays_above_has_its_first_value():
    assert threshold([0, 1], [1, 0.9]) == 1
    assert threshold([0], [1]) == 1


def test_a_curve_that_starts_below_has_its_first_value_too_as_published():
    assert threshold([0, 0.5, 1], [0.7, 0.2, 0.1]) == 0.7


def test_a_curve_that_rises_again_crosses_where_it_falls_first():
    assert threshold([0, 0.25, 0.5, 0.75, 1], [1, 0.6, 0.9, 0.9, 0]) == pytest.approx(0.125)


@given(falling, st.floats(0.05, 0.95))
def test_the_curve_has_the_value_at_its_threshold(curve, at):
    levels = np.linspace(0, 1, len(curve))
    found = threshold(levels, curve, at)
    if curve[-1] < at:
        assert np.interp(found, levels, curve) == pytest.approx(at, abs=1e-9)
    else:
        assert found == 1


@given(falling, st.floats(0.1, 0.8), st.floats(0.01, 0.1))
def test_a_lower_demand_has_a_higher_threshold(curve, at, less):
    levels = np.linspace(0, 1, len(curve))
    assert threshold(levels, curve, at) <= threshold(levels, curve, at - less) + 1e-12


@pytest.mark.parametrize(("levels", "curve"), [([], []), ([0, 1], [1])])
def test_no_points_or_too_few(levels, curve):
    with pytest.raises(ValueError, match="as many levels as points"):
        threshold(levels, curve)


def test_counts_are_the_nearest_numbers_where_the_original_cuts_off():
    sixths = [number / 6 for number in range(7)]
    assert counts(4, sixths) == [0, 1, 1, 2, 3, 3, 4]
    assert counts(4, sixths, truncate=True) == [0, 0, 1, 2, 2, 3, 4]
    assert counts(288, [5 / 6]) == [240]
    assert counts(5, [0.1, 0.3, 0.7]) == [1, 2, 4]  # halves go up, also where 0.3 * 5 is a little less


@given(st.integers(1, 3000), st.floats(0, 1))
def test_counts_are_off_by_half_a_unit_at_most(units, level):
    assert abs(counts(units, [level])[0] - level * units) <= 0.5 + 1e-6


@given(st.integers(1, 500))
def test_every_number_of_units_has_a_level(units):
    assert counts(units, [number / units for number in range(units + 1)]) == list(range(units + 1))


@pytest.mark.parametrize("level", [-0.1, 1.1, float("nan")])
def test_levels_are_fractions(level):
    with pytest.raises(ValueError, match="from 0 to 1"):
        counts(4, [level])


def test_area_does_not_depend_on_how_levels_are_spaced():
    assert area([0, 1], [1, 0]) == area([0, 0.1, 1], [1, 0.9, 0]) == pytest.approx(0.5)
    assert area([0.5], [0.3]) == 0.3


def test_spread_over_orders():
    found = spread([0.2, 0.4, 0.6], (0.0, 0.5))
    assert found == pytest.approx({"mean": 0.4, "sd": 0.2, "low": 0.2, "high": 0.4, "best": 0.6})
    assert spread([0.3])["sd"] == 0


@given(falling, st.integers(1, 60), st.floats(0.05, 0.95))
def test_halving_ends_at_neighbours_around_the_crossing(curve, grid, at):
    steps = np.linspace(0, 1, len(curve))

    def value(level):
        return float(np.interp(level, steps, curve))

    measured = {0.0: 1.0, 1.0: value(1.0)}
    for _ in range(12):
        if (level := middle(measured, at, grid)) is None:
            break
        assert level not in measured
        measured[level] = value(level)
    assert middle(measured, at, grid) is None
    assert len(measured) <= 3 + np.log2(grid) * 1.5 + 1
    if value(1.0) < at:
        found = threshold(sorted(measured), [measured[level] for level in sorted(measured)], at)
        exact = threshold(steps, curve, at)
        assert abs(found - exact) <= 1 / grid + 1e-9
    else:
        assert len(measured) == 2
