"""The size from which a chunk is complete, and the law of its error beyond."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widenet_redundant_repr.powerlaw import critical_width, fit_power_law

GOLDEN = Path(__file__).parents[2] / "golden" / "redundant_repr" / "published_figure_values.json"
WRN = json.loads(GOLDEN.read_text())["wrn28_8_cifar10_W512"]
SIZES = (16, 32, 64, 128, 256, 512)


def law_of(exponent, amplitude, infinity, chunks=1, spread=0.0):
    """Errors (6, chunks) of a law, with a relative spread over chunks."""
    errors = infinity + amplitude * np.array(SIZES, float)[:, None] ** -exponent
    return errors * np.exp(spread * np.random.default_rng(0).normal(size=(len(SIZES), chunks)))


@pytest.mark.parametrize(("start", "exponent"), [(128, 0.458), (64, 0.611)])
def test_exponents_of_the_published_points(start, exponent):
    published = WRN["test_error_minus_ensemble20_error"]
    errors = np.array(published["value"])[:, None]
    law = fit_power_law(published["chunk_size"], errors, start, 0.0)
    assert law.exponent == pytest.approx(exponent, abs=5e-4)
    assert law.exponent_error is None
    assert "two chunks" in law.reason
    shifted = fit_power_law(published["chunk_size"], errors + 0.03, start, 0.03)
    assert shifted.exponent == pytest.approx(law.exponent)


@pytest.mark.parametrize(("tolerance", "size", "clones"), [(0.01, 64, 8), (0.005, 128, 4)])
def test_critical_width_of_the_published_curves(tolerance, size, clones):
    found = critical_width(WRN["chunk_size"], WRN["r2"], WRN["train_error"], 0.0, 0.99, tolerance)
    assert found == size
    assert 512 // found == clones


def test_no_critical_width_where_the_two_conditions_never_meet():
    assert critical_width([1, 2, 4], [0.5, 0.6, 0.7], [0, 0, 0], 0.0) is None
    assert critical_width([1, 2], [1, 1], [0.5, 0.2], 0.1, tolerance=0.05) is None
    assert critical_width([1, 2], [1, 1], [0.5, 0.2], 0.1, tolerance=0.1) == 2


@given(st.floats(0.2, 1.5), st.floats(0.05, 2), st.floats(0, 0.1))
def test_a_law_without_noise_is_found(exponent, amplitude, infinity):
    errors = law_of(exponent, amplitude, infinity)
    given = fit_power_law(SIZES, errors, 16, infinity)
    assert (given.exponent, given.amplitude) == pytest.approx((exponent, amplitude), rel=1e-6)
    free = fit_power_law(SIZES, errors, 16)
    assert free.exponent == pytest.approx(exponent, abs=0.02)
    assert free.error_infinity == pytest.approx(infinity, abs=0.05 * errors.min() + 1e-4)


def test_standard_errors_are_those_of_repeated_experiments():
    spread, chunks = 0.05, 200
    law = fit_power_law(SIZES, law_of(0.5, 0.12, 0, chunks, spread), 16, 0.0, resamples=1000)
    x = np.log(SIZES)
    expected = spread / chunks**0.5 / np.linalg.norm(x - x.mean())  # of a slope, by least squares
    assert law.exponent_error == pytest.approx(expected, rel=0.15)
    assert abs(law.exponent - 0.5) < 5 * law.exponent_error
    assert law.error_infinity_error == 0
    assert law.reason == ""


def test_three_parameters_have_standard_errors_and_a_seed():
    errors = law_of(0.5, 0.3, 0.03, 40, 0.02)
    errors[-1] = errors[-1].mean()  # chunks of the whole layer are all the same
    law = fit_power_law(SIZES, errors, 16)
    assert abs(law.error_infinity - 0.03) < 4 * law.error_infinity_error < 0.04
    assert law == fit_power_law(SIZES, errors, 16, seed=0) != fit_power_law(SIZES, errors, 16, seed=1)
    assert 0 <= law.error_infinity < errors.mean(1).min()


@pytest.mark.parametrize(
    ("start", "infinity", "reason"),
    [
        (512, 0.0, "fewer than 2 sizes from 512 on have a mean error above 0"),
        (16, 0.9, "fewer than 2 sizes from 16 on have a mean error above 0.9"),
        (256, None, "fewer than 3 sizes from 256 on have a mean error above 0"),
    ],
)
def test_too_few_points_have_a_reason_and_no_numbers(start, infinity, reason):
    law = fit_power_law(SIZES, law_of(0.5, 1, 0, 3), start, infinity)
    assert law.reason == reason
    assert law.exponent is law.amplitude is law.exponent_error is None


def test_sizes_without_an_error_are_left_out():
    errors = law_of(0.5, 1, 0, 2)
    errors[-1] = 0
    assert fit_power_law(SIZES, errors, 16, 0.0).exponent == pytest.approx(0.5)
    assert fit_power_law(SIZES, errors, 16).exponent == pytest.approx(0.5, abs=0.01)


def test_errors_that_rise_are_no_law():
    law = fit_power_law([1, 2, 4, 8], np.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3], [0.4, 0.4]]), 1, error_infinity=0.0)
    assert law.exponent is None
    assert "does not fall" in law.reason
