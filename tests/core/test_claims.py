"""What a recipe's claims are held against: measures of its table, verdicts, and the figure with the paper's values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from widenet.recipes import Claim, Panel, Recipe, at_largest, difference, extremes, fits, ratio, slope, value
from widenet.study import drawn, judged

ROWS = [
    {"label": label, "width": width, "seed": seed, "accuracy": base * width + seed / 100, "units": units}
    for label, base in (("masked", 0.2), ("trained", 0.3))
    for width, units in ((0.5, 2), (1, 8), (2, 32))
    for seed in (0, 1)
]
MASKED = {"label": "masked"}


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (value("accuracy", width=1, label="masked"), [0.2, 0.21]),
        (value("accuracy", width=(1, 2), label="masked"), [0.3, 0.31]),
        (value("accuracy", width=3), []),
        (value("none of these"), []),
        (difference("accuracy", {"width": 2, **MASKED}, {"width": 2, "label": "trained"}), [-0.2, -0.2]),
        (ratio("units", {"width": 2}, {"width": 0.5}), [16, 16]),
        (at_largest("width", "accuracy", **MASKED), [0.4, 0.41]),
        (at_largest("width", "accuracy", label="none"), []),
        (extremes("width", "accuracy", **MASKED), [0.3, 0.3]),
        (extremes("width", "accuracy", width=1), []),
        (slope("width", "accuracy", **MASKED), [0.2, 0.2]),
        (slope("width", "units", log=True), [2, 2]),
        (slope("width", "units", width=1), []),
    ],
)
def test_measures(measure, expected):
    assert list(measure(ROWS)) == pytest.approx(expected)


def test_what_has_no_number_is_left_out():
    rows = [{"x": x, "y": y, "seed": 0} for x, y in ((1, 0), (2, 1), (4, 2), (None, 9))]
    assert slope("x", "y", log=True)(rows) == pytest.approx([1]), "0 has no logarithm"
    assert ratio("y", {"x": 2}, {"x": 1})(rows) == []
    assert difference("y", {"x": 2}, {"x": 1})([*rows, {"x": 2, "y": 5, "seed": 1}]) == [1], "seed 1 has no partner"


def test_values_from_tables_are_text():
    assert fits({"keep": "0.50", "label": "a"}, {"keep": 0.5, "label": ("a", "b")})
    assert not fits({"keep": "0.5"}, {"keep": 0.5, "label": "a"})


@given(st.dictionaries(st.integers(-50, 50), st.floats(-5, 5), min_size=2))
def test_slopes_are_numpys(points):
    rows = [{"x": x, "y": y, "seed": 0} for x, y in points.items()]
    assert slope("x", "y")(rows) == pytest.approx([np.polyfit([*points], [*points.values()], 1)[0]], abs=1e-9)


def claim(numbers, **bounds):
    return Claim("it grows", lambda rows: numbers, "figure 1", 0.5, **bounds)


@pytest.mark.parametrize(
    ("numbers", "bounds", "holds"),
    [
        ([1.0], {"above": 0.0}, "yes"),
        ([-1.0], {"above": 0.0}, "no"),
        ([0.0], {"above": 0.0}, "no"),
        ([1.0, 1.1, 0.9], {"above": 0.0}, "yes"),
        ([1.0, 1.1, 0.9], {"below": 0.0}, "no"),
        ([1.0, -0.5], {"above": 0.0}, "undecided"),
        ([1.0, 1.1, 0.9], {"above": 0.5, "below": 1.5}, "yes"),
        ([1.0, 1.1, 0.9], {"above": 1.0, "below": 1.5}, "undecided"),
        ([], {"above": 0.0}, "nothing to judge"),
        ([None, math.nan], {"above": 0.0}, "nothing to judge"),
    ],
)
def test_verdicts(numbers, bounds, holds):
    assert judged(claim(numbers, **bounds), []).holds == holds


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=9).filter(lambda numbers: np.std(numbers) > 1e-3))
def test_the_interval_is_students(numbers):
    found = judged(claim(numbers, above=0.0), [])
    expected = stats.t.interval(0.95, len(numbers) - 1, loc=np.mean(numbers), scale=stats.sem(numbers))
    assert found.interval == pytest.approx(expected)
    assert found.spread == pytest.approx(np.std(numbers, ddof=1))
    assert judged(claim(numbers[:1], above=0.0), []).interval is None


def test_a_claim_has_a_direction():
    with pytest.raises(ValueError, match="no direction"):
        claim([1.0])


def figure_of(**panel):
    return drawn(Recipe("r", lambda study: (), panels=[Panel("width", "accuracy", **panel)]), ROWS).axes[0]


def test_the_papers_values_have_the_colour_of_ours_or_a_name():
    axes = figure_of(percent=True, log_x=True, paper={"masked": {1: 0.25, 4: 0.9}, "pruned": {1: 0.6}})
    lines = {tuple(line.get_ydata()): line for line in axes.lines}
    ours, others = (next(line for line in axes.lines if line.get_label() == label) for label in ("masked", "trained"))
    assert list(ours.get_ydata()) == pytest.approx([10.5, 20.5, 40.5])
    assert lines[25.0, 90.0].get_color() == ours.get_color()
    assert lines[(60.0,)].get_color() not in (ours.get_color(), others.get_color())
    assert [text.get_text() for text in axes.texts if text.get_text()] == ["pruned"]
    assert axes.get_ylabel() == "accuracy, %"


def test_names_are_an_axis_in_the_order_of_the_rows():
    rows = [{"net": net, "accuracy": 0.5, "label": "a"} for net in ("conv8", "conv2")]
    axes = drawn(Recipe("r", lambda study: (), panels=[Panel("net", "accuracy", paper={"a": {"conv4": 0.4}})]), rows).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["conv8", "conv2", "conv4"]
