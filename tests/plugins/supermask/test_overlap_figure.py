"""The figure of ``mask-overlap``."""

import numpy as np
import pytest

from widenet import figures
from widenet_supermask.figure import mask_overlap


def row(first, second, layer, jaccard=0.5, chance=0.25, z=2.0):
    return {"first": first, "second": second, "layer": layer, "jaccard": jaccard, "jaccard_by_chance": chance, "z": z}


PAIR = [row("a/seed-0", "a/seed-1", layer) for layer in ("fc", "all")]
ODD = {
    "one layer": (PAIR, ["a/seed-0", "a/seed-1"]),
    "no layer": (PAIR[1:], ["a/seed-0", "a/seed-1"]),
    "no choice": ([row("a/seed-0", "a/seed-1", "fc", z=None)], ["a/seed-0", "a/seed-1"]),
    "one run twice": ([row("a/seed-0", "a/seed-0", "fc", jaccard=1.0)], ["a/seed-0", "a/seed-0"]),
    "pairs without the others' layers": (
        [row("a/seed-0", "b/seed-0", "fc"), row("a/seed-0", "c/seed-0", "conv"), row("a/seed-0", "c/seed-0", "all")],
        ["a/seed-0", "b/seed-0", "c/seed-0"],
    ),
    "many runs": ([row("a/seed-0", f"a/seed-{n}", "all") for n in range(1, 30)], [f"a/seed-{n}" for n in range(30)]),
}


@pytest.mark.parametrize("rows, names", ODD.values(), ids=ODD)
def test_of_any_rows(rows, names):
    assert figures.rendered(mask_overlap(rows, names), "svg")


def test_index_beside_chance_and_a_matrix_of_three():
    names = [f"a/seed-{seed}" for seed in range(3)]
    pairs = [(0, 1, 0.2), (0, 2, 0.4), (1, 2, 0.6)]
    rows = [row(names[one], names[two], layer, jaccard) for one, two, jaccard in pairs for layer in ("fc", "all")]
    index, z, matrix = mask_overlap(rows, names).axes[:3]
    ours, chance = index.lines
    assert (ours.get_ydata().tolist(), chance.get_ydata().tolist()) == ([pytest.approx(0.4)], [0.25])
    assert z.lines[0].get_ydata().tolist() == [2]
    shown = np.ma.filled(matrix.images[0].get_array(), np.nan)
    assert np.nan_to_num(shown).tolist() == [[0, 0.2, 0.4], [0.2, 0, 0.6], [0.4, 0.6, 0]]
    assert [label.get_text() for label in matrix.get_xticklabels()] == ["0", "1", "2"]


def test_the_command_leaves_it(run, wn):
    words = ("supermask", "--arch", "fc:hidden=8", "--dataset", "tiny", "--epochs", "1")
    first, second = (run(*words, "--seed", seed) for seed in ("0", "1"))
    answer = wn("analyze", "mask-overlap", first, second)
    assert answer.code == 0, answer.err
    assert sorted(path.name for path in first.glob("analyses/*/mask-overlap.*")) == ["mask-overlap.png", "mask-overlap.svg"]
