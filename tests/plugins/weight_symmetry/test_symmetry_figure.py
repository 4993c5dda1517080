"""The figure of ``symmetry``."""

import pytest

from widenet import figures
from widenet_weight_symmetry.figure import symmetry


def row(layer, left=2.0, lost=3.0, units=4, unique=2, **more):
    counts = {"total_neurons": units, "unique_neurons": unique, "zeroed_neurons": 1, "dead_outgoing": 0}
    return {"layer": layer, "log10_permutations": left, "log10_lost": lost, **counts, **more}


ODD = {
    "one layer": [row("fc"), row("total")],
    "no hidden layer": [row("total", 0.0, 0.0, 0, 0)],
    "nothing left": [row("fc", 0.0, 0.0, unique=0), row("total", 0.0, 0.0)],
    "propagated": [row(name, propagated=state) for state in (False, True) for name in ("fc", "total")],
    "many layers": [*(row(f"group.{number}") for number in range(60)), row("total")],
}


@pytest.mark.parametrize("rows", ODD.values(), ids=ODD)
def test_of_any_rows(rows):
    assert figures.rendered(symmetry(rows, "total", "run"), "svg")


def test_what_is_left_stands_in_what_there_was():
    rows = [*(row(name, left) for name, left in (("a", 2.0), ("b", 1.0))), row("total", 3.0, 6.0)]
    permutations, units = symmetry(rows, "total", "run").axes
    assert [bar.get_height() for bar in permutations.patches] == [5, 4, 2, 1]
    assert [bar.get_height() for bar in units.patches] == [0.5, 0.5, 0.25, 0.25, 0, 0]
    assert [label.get_text() for label in units.get_xticklabels()] == ["a", "b"]


def test_the_command_leaves_it(run, wn):
    folder = run("supermask", "--arch", "fc:hidden=8", "--dataset", "tiny", "--epochs", "1")
    answer = wn("analyze", "symmetry", folder, "--propagate")
    assert answer.code == 0, answer.err
    assert sorted(path.name for path in folder.glob("analyses/*/symmetry.*")) == ["symmetry.png", "symmetry.svg"]
