"""Widths for a budget of parameters, against the recorded solutions and by counting."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widenet_weight_symmetry.widths import parameters, solve

GOLDEN = Path(__file__).parents[2] / "golden" / "weight_symmetry" / "fixed_param.json"
CASES = json.loads(GOLDEN.read_text())


def asked(case):
    """The inputs, budget, depth and growth of a recorded case, named as 784|10000|3|mult=1.5."""
    inputs, params, depth, *rest = case.split("|")
    return int(inputs), int(params), int(depth), float(rest[0].removeprefix("mult=")) if rest else 2


@pytest.mark.parametrize("case", CASES)
def test_as_recorded(case):
    inputs, params, depth, growth = asked(case)
    widths = solve(inputs, params, depth, growth, classes=10, compat=True)
    assert list(widths) == CASES[case]["features"]
    weights = sum(a * b for a, b in pairwise((inputs, *widths)))
    assert weights == CASES[case]["kernel_params_no_classifier"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("classes", [None, 10])
def test_the_budget_is_met_within_half_a_unit_of_the_last_layer(case, classes):
    inputs, params, depth, growth = asked(case)
    widths = solve(inputs, params, depth, growth, classes)
    off = abs(parameters(widths, inputs, classes) - params)
    assert off <= ((inputs, *widths)[-2] + 3 + (classes or 0)) / 2
    assert off <= abs(parameters(CASES[case]["features"], inputs, classes) - params)
    assert len(widths) == depth
    if params >= 100_000:  # below, a layer of few units leaves much to the last one
        assert all(b / a == pytest.approx(growth, rel=0.15) for a, b in pairwise(widths[:-1]))


@given(
    inputs=st.integers(1, 4000),
    params=st.integers(1, 10**8),
    depth=st.integers(1, 9),
    growth=st.sampled_from([0.5, 0.7, 1, 1.5, 2, 3]),
    classes=st.none() | st.integers(1, 1000),
)
def test_any_budget_is_met_or_refused_with_one_that_is(inputs, params, depth, growth, classes):
    try:
        widths = solve(inputs, params, depth, growth, classes)
    except ValueError as error:
        smallest = int(str(error).rpartition(" ")[2])
        assert params < smallest
        widths, params = solve(inputs, smallest, depth, growth, classes), smallest
        with pytest.raises(ValueError, match="are too few"):
            solve(inputs, smallest - 1, depth, growth, classes)
    assert min(widths) >= 1
    assert len(widths) == depth
    assert 2 * abs(parameters(widths, inputs, classes) - params) <= (inputs, *widths)[-2] + 3 + (classes or 0)


@given(inputs=st.integers(1, 1000), params=st.integers(10**4, 10**5), depth=st.integers(1, 4), growth=st.sampled_from([1, 2]))
def test_never_farther_off_than_the_published_rule(inputs, params, depth, growth):
    ours, published = (solve(inputs, params, depth, growth, 10, compat=compat) for compat in (False, True))
    off, wanted = (abs(parameters(widths, inputs, 10) - params) for widths in (ours, published))
    assert off <= wanted


def test_widths_are_rounded_though_truncated_ones_and_a_wide_last_layer_may_come_closer():
    assert solve(784, 10_000, 7, 2, 10) == (2, 3, 6, 13, 26, 52, 97)
    assert parameters((2, 3, 6, 13, 26, 52, 97), 784, 10) == 9_981
    assert parameters((1, 3, 6, 12, 25, 51, 113), 784, 10) == 9_988


def test_the_published_rule_may_come_closest():
    assert solve(190, 6061, 5, 1.5, 1) == solve(190, 6061, 5, 1.5, 1, compat=True) == (11, 16, 24, 37, 55)


def test_widths_are_truncated_where_rounding_alone_would_overspend():
    # The first width is 1.6: two units cost more than the budget.
    assert solve(784, 1300, 2, 2, 10) == (1, 36)
    assert parameters((1, 36), 784, 10) == 1301
    assert parameters((2, 1), 784, 10) == 1599


@given(inputs=st.integers(1, 4000), depth=st.integers(1, 7), growth=st.sampled_from([0.5, 1, 1.5, 2, 3]))
def test_the_published_rule_names_the_smallest_budget_too(inputs, depth, growth):
    with pytest.raises(ValueError, match="parameters are too few") as refused:
        solve(inputs, 0, depth, growth, compat=True)
    smallest = int(str(refused.value).rpartition(" ")[2])
    widths = solve(inputs, smallest, depth, growth, compat=True)
    assert min(widths) == 1
    with pytest.raises(ValueError, match=f"give at least {smallest}$"):
        solve(inputs, smallest - 1, depth, growth, compat=True)


def test_what_counts():
    assert parameters((32, 32), 784, 10) == 26_634
    assert parameters((32, 32), 784) == 26_634 - 330
    assert parameters((), 784, 10) == 7850
    assert parameters((), 784) == 0


def test_the_line_for_a_budget_too_small():
    with pytest.raises(
        ValueError, match=r"^100 parameters are too few for 3 hidden layers over 784 inputs; give at least 865$"
    ):
        solve(784, 100, 3, 2, 10)
    assert solve(784, 865, 3, 2, 10) == (1, 2, 4)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"depth": 0}, "depth must be at least 1 hidden layer, not 0"),
        ({"growth": 0}, "must be positive"),
        ({"growth": math.nan}, "must be positive"),
        ({"inputs": 0}, "must be positive"),
        ({"classes": 0}, "must be positive"),
        ({"growth": 1e300}, "beyond all bounds"),
        ({"growth": 1e-300}, "beyond all bounds"),
        ({"growth": math.inf}, "beyond all bounds"),
    ],
)
@pytest.mark.parametrize("compat", [False, True])
def test_bad_input(changed, message, compat):
    arguments = {"inputs": 784, "params": 100_000, "depth": 3, "growth": 2, "classes": 10}
    with pytest.raises(ValueError, match=message):
        solve(**{**arguments, **changed}, compat=compat)
