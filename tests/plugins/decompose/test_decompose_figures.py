"""Figures of the analyses, of whatever rows there are."""

import pytest
import torch

from widenet import figures
from widenet_decompose import figure
from widenet_decompose.filters import Filters


def information(score, k, off=0.1, jaccard=0.2, deviation=0.01):
    beside = {"random_off_diagonal": 0.05, "random_deviation": deviation}
    return {"score": score, "k": k, "off_diagonal": off, "jaccard": jaccard, **beside}


ODD = {
    "one row": [information("weight", "4")],
    "random alone": [information("random", "4"), information("random", "8")],
    "one draw": [information("weight", "4", deviation=0.0)],
    "parts of the mass": [information("weight", "50%"), information("random", "50%")],
    "sizes of one score": [information("weight", "4"), information("file", "7")],
}


@pytest.mark.parametrize("rows", ODD.values(), ids=ODD)
def test_information_of_any_rows(rows):
    assert figures.rendered(figure.mutual_information(rows, "run"), "svg")


def test_scores_stand_beside_random_sets():
    rows = [information(score, k, off=len(k), jaccard=len(score)) for score in ("weight", "random") for k in ("4", "16")]
    values, overlap = figure.mutual_information(rows, "run").axes
    assert [(line.get_label(), line.get_ydata().tolist()) for line in values.lines] == [
        ("weight", [1, 2]),
        ("random sets", [0.05, 0.05]),
    ]
    assert [list(line.get_ydata()) for line in overlap.lines] == [[6, 6], [6, 6]]
    assert [line.get_color() for line in values.lines] == [line.get_color() for line in overlap.lines]
    assert [label.get_text() for label in values.get_xticklabels()] == ["4", "16"]


@pytest.mark.parametrize("mask", [torch.eye(2, 3).bool(), torch.zeros(1, 3).bool(), torch.ones(2, 1).bool()])
def test_sets_without_mass_leave_its_panel_out(mask):
    shown = Filters.checked(mask.shape[1], [members.nonzero().flatten().tolist() for members in mask])
    drawn = figure.class_filters([], {}, shown, "weight", "run")
    assert len(drawn.axes) == 3  # overlap with its colours, and units
    assert figures.rendered(drawn, "svg")


@pytest.mark.parametrize("values", [None, 0.5])
@pytest.mark.parametrize("count", [1, 3, 60])
def test_selectivity_of_any_layers(count, values):
    rows = [{"layer": f"relu.{n}", **dict.fromkeys(("selectivity", "psi", "entropy"), values)} for n in range(count)]
    drawn = figure.selectivity(rows, "run")
    assert len(drawn.axes) == 3
    assert figures.rendered(drawn, "svg")
