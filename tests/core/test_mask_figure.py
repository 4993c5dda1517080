"""The figure of ``mask-stats``: beside its rows, and of whatever rows there are."""

import pytest

from widenet import figures
from widenet.builtin.mask_figure import mask_stats


def row(layer, weights=10, kept=5, units=2, dead_units=1, inputs=5, dead_inputs=0):
    counts = {"weights": weights, "kept": kept, "units": units, "dead_units": dead_units, "inputs": inputs}
    return {"layer": layer, "density": kept / max(1, weights), **counts, "dead_inputs": dead_inputs}


ODD = {
    "one layer": [row("fc")],
    "nothing kept": [row("fc", kept=0, dead_units=2, dead_inputs=5)],
    "nothing dead": [row("fc", kept=10, dead_units=0)],
    "a bias": [row("fc.bias", units=0, dead_units=0, inputs=0)],
    "an empty layer": [row("fc", weights=0, kept=0, units=0, dead_units=0, inputs=0)],
    "many layers": [row(f"group.{number}.conv") for number in range(60)],
    "no layer": [],
}


@pytest.mark.parametrize("layers", ODD.values(), ids=ODD)
def test_of_any_rows(layers):
    assert figures.rendered(mask_stats([*layers, {**row("all"), "layer": "all"}], "run"), "svg")


def test_fractions_layer_by_layer():
    kept, dead = mask_stats([row("a"), row("b", kept=1), row("all", weights=20, kept=6)], "run").axes
    assert [bar.get_height() for bar in kept.patches] == [0.5, 0.1]
    assert [bar.get_height() for bar in dead.patches] == [0.5, 0.5, 0, 0]
    assert kept.get_title() == "dashed: all layers, 0.3"
    assert [label.get_text() for label in kept.get_xticklabels()] == ["a", "b"]


def test_beside_the_rows(wn, supermask_run):
    answer = wn("analyze", "mask-stats", supermask_run, "--fresh")
    assert answer.code == 0, answer.err
    (folder,) = (supermask_run / "analyses").glob("mask-stats-*")
    assert {"mask-stats.png", "mask-stats.svg", "result.csv"} <= {path.name for path in folder.iterdir()}
