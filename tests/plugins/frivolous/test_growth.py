"""Growth with width: against the recorded outputs of the original notebooks, properties, and what is refused."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widenet_frivolous import growth

GOLDEN = dict(np.load(Path(__file__).parents[2] / "golden" / "frivolous" / "notebook_stats.npz"))
WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
positive = st.floats(0.01, 100)


@pytest.mark.parametrize(("how", "name"), [("max", "prun_max"), ("min", "prun_min")])
def test_prunability_over_orders_and_seeds(how, name):
    best = growth.over_orders(GOLDEN["prun_in"], how, axis=1)
    np.testing.assert_array_equal(np.stack(growth.mean_and_deviation(best), -1), GOLDEN[name])


def test_growth_of_prunability():
    best = growth.over_orders(GOLDEN["prun_in"], "max", axis=1)
    np.testing.assert_array_equal(growth.growth(growth.mean_and_deviation(best)[0]), GOLDEN["prun_g"])


def test_redundancy_and_its_growth_without_the_first_step():
    mean, deviation = growth.mean_and_deviation(GOLDEN["red_in"], (0, 1, 2))
    np.testing.assert_allclose(np.stack([mean, deviation], -1), GOLDEN["red_meanstd"], rtol=1e-14)
    np.testing.assert_allclose(growth.growth(mean, skip=1), GOLDEN["red_g"], rtol=1e-14)


@given(st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_a_value_and_its_complement_add_up(values):
    total = growth.normalised(values, WIDTHS) + growth.complement(values, WIDTHS)
    np.testing.assert_allclose(total, np.array(WIDTHS) / 4, rtol=1e-14)


@given(st.lists(st.lists(st.floats(0, 1), min_size=5, max_size=5), min_size=1, max_size=4))
def test_the_best_order_and_the_worst_complement_add_up(orders):
    best = growth.over_orders(growth.normalised(orders, WIDTHS), "max")
    worst = growth.over_orders(growth.complement(orders, WIDTHS), "min")
    np.testing.assert_allclose(best + worst, np.array(WIDTHS) / 4, rtol=1e-14)


@given(positive, st.floats(-2, 2))
def test_a_power_of_the_width_grows_by_it(start, exponent):
    values = start * np.array(WIDTHS) ** exponent
    assert growth.growth(values) == pytest.approx(2**exponent)
    assert growth.log2_slope(values, WIDTHS) == pytest.approx(exponent, abs=1e-9)


@given(st.lists(positive, min_size=3, max_size=6), positive)
def test_growth_knows_no_scale(values, scale):
    assert growth.growth(np.array(values) * scale) == pytest.approx(float(growth.growth(values)))


def test_zeros_are_missing():
    assert growth.growth([1, 0, 4, 12]) == 3
    assert np.isnan(growth.growth([0, 1]))
    assert np.isnan(growth.growth([3.0]))
    assert growth.log2_slope([0, 1, 2], (1, 2, 4)) == pytest.approx(1)
    assert np.isnan(growth.log2_slope([0, 0, 2], (1, 2, 4)))


@given(st.lists(st.lists(positive, min_size=2, max_size=4), min_size=2, max_size=4), st.integers(0, 9))
def test_intervals_lie_among_what_runs_allow(values, seed):
    factors = [2.0**place for place in range(len(values))]
    found = growth.bootstrapped(values, factors, resamples=50, seed=seed)
    assert found == growth.bootstrapped(values, factors, resamples=50, seed=seed)
    low, high = found.factor_interval
    least = np.mean([min(wide) / max(narrow) for narrow, wide in pairwise(values)])
    most = np.mean([max(wide) / min(narrow) for narrow, wide in pairwise(values)])
    assert least - 1e-9 <= low <= high <= most + 1e-9
    assert found.slope_interval[0] <= found.slope_interval[1]


def test_single_runs_have_no_interval():
    found = growth.bootstrapped([[1.0], [3.0]], [1, 2])
    assert found == growth.Growth(3.0, pytest.approx(np.log2(3)), None, None)
    assert growth.bootstrapped([[0.0], [0.0]], [1, 2]) == growth.Growth(None, None, None, None)


def test_widths_that_double():
    assert growth.doubling([1, 0.5, 1, 2]) == [0.5, 1, 2]
    with pytest.raises(ValueError, match="a single width, 2"):
        growth.doubling([2, 2])
    with pytest.raises(ValueError, match=r"2 is not twice 0\.5"):
        growth.doubling([0.5, 2])
    with pytest.raises(ValueError, match="no width"):
        growth.doubling([])


def test_values_need_their_widths():
    with pytest.raises(ValueError, match="width factor above 0"):
        growth.normalised([1, 2], (1,))
    with pytest.raises(ValueError, match="width factor above 0"):
        growth.complement([1, 2], (0, 1))
