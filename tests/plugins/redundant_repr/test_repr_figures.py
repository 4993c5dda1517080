"""Figures of ``chunk-dimension`` and ``bias-variance``, of whatever rows there are."""

import pytest

from widenet import figures
from widenet_redundant_repr.figure_tables import bias_variance, dimensions


def size(of, dimension=1.5, deviation=0.1, likelihood=1.4):
    return {"size": of, "dimension": dimension, "deviation": deviation, "likelihood": likelihood}


def kind(arch, parameters=10, seeds=2, train_error=0.1, test_error=0.2):
    errors = {"train_error": train_error, "test_error": test_error, "test_error_deviation": 0.05, "ensemble_error": 0.1}
    return {"arch": arch, "parameters": parameters, "seeds": seeds, **errors, "loss": 0.3, "bias2": -0.01, "variance": 0.31}


SIZES = {
    "one size": [size(1)],
    "no estimate": [size(1, None, None, None)],
    "one chunk": [size(1), size(2, deviation=None)],
    "one estimate alone": [size(1), size(2, None, None)],
}
KINDS = {
    "one kind": [kind("core/fc:width=1")],
    "no training errors": [kind("core/fc:width=1", train_error=None)],
    "no parameters": [kind("core/fc:width=1", None), kind("core/fc:width=2", None)],
    "equal parameters": [kind("core/fc:width=1"), kind("core/fc:width=1", seeds=3)],
    "many": [kind(f"core/fc:width={n}", None) for n in range(20)],
}


@pytest.mark.parametrize("rows", SIZES.values(), ids=SIZES)
def test_dimensions_of_any_rows(rows):
    assert figures.rendered(dimensions(rows, "run"), "svg")


@pytest.mark.parametrize("rows", KINDS.values(), ids=KINDS)
def test_bias_and_variance_of_any_rows(rows):
    assert figures.rendered(bias_variance(rows), "svg")


def test_both_estimates_and_the_most_there_can_be():
    (axes,) = dimensions([size(1), size(2, 1.9), size(4, None, None, None)], "run").axes
    fit, likelihood, most = axes.lines
    assert (list(fit.get_xdata()), list(fit.get_ydata())) == ([1, 2], [1.5, 1.9])
    assert list(likelihood.get_ydata()) == [1.4, 1.4]
    assert list(most.get_xdata()) == list(most.get_ydata()) == [1, 2, 4]
    assert axes.get_ylim()[0] == 0


def test_widths_are_joined_over_parameters():
    errors, parts = bias_variance([kind("core/fc:width=2", 40, test_error=0.1), kind("core/fc:width=1", 10)]).axes
    _, test, _ = errors.lines
    assert errors.get_xscale() == "log"
    assert (list(test.get_xdata()), list(test.get_ydata())) == ([10, 40], [0.2, 0.1])
    assert parts.get_ylim()[0] < -0.01


def test_other_networks_stand_side_by_side():
    errors, _ = bias_variance([kind("core/fc:width=1", 10), kind("core/conv2:width=1,bias=false", 40)]).axes
    assert errors.lines[0].get_linestyle() == "None"
    assert [label.get_text() for label in errors.get_xticklabels()] == ["fc:width=1", "conv2:width=1"]
