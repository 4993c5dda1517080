"""The recipe's table, from a study made up by hand, and the experiments that each scale plans."""

import math

import pytest
from made_runs import counts, epoch, folder

from widenet import loading
from widenet.cli.reproducing import Reproduction
from widenet.grid import cells
from widenet.recipes import SCALES
from widenet.study import Study, Trial, judged
from widenet_weight_symmetry.claims import COPIES, DENSE, SYMMETRY, rank_correlation, symmetry_vs_sparsity


def trial(path, label, kind, sparsity, permutations, accuracy):
    """A run of which a row is made: masks that leave so many permutations, and two epochs."""
    log10 = math.log10(permutations + 1)
    masks = counts("propagated_mask", permutations=str(permutations), permutation_log10=log10)
    lines = [{"epoch": 0, "step": 0, **masks}, epoch(1, accuracy, 0.5), epoch(2, accuracy, 0.4)]
    result = {"sparsity": sparsity, "unique_neurons": 3, "test_accuracy": accuracy}
    run = folder(path, lines, {"mask_type": kind, "sparsity": sparsity, "propagate": True}, result, seed=0)
    return Trial({"label": label, "seed": 0}, run)


@pytest.fixture
def rows(tmp_path):
    several = [
        ("masked", "symmetric", 0.9, 10**8, 0.6),
        ("masked", "random", 0.9, 1, 0.9),
        ("masked", "random", 0.98, 0, 0.1),
        (DENSE, "random", 0.0, 10**40, 0.95),
        (COPIES, "random", 0.0, math.factorial(16) ** 6, 0.2),
    ]
    return list(symmetry_vs_sparsity(Study([trial(tmp_path / str(n), *words) for n, words in enumerate(several)])))


def test_rows_say_what_symmetry_is_left_of_the_dense_networks(rows):
    assert [row["label"] for row in rows] == ["symmetric", "random", "random", DENSE, COPIES]
    assert [row["log10_permutations"] for row in rows] == pytest.approx([8, 0, None, 40, 79.9237], abs=1e-4), "dead: none"
    assert [row["symmetry_left"] for row in rows] == pytest.approx([0.2, 0, None, 1, None])
    assert {row["cumulative_gradient_norm"] for row in rows} == {6.0}, "after the last epoch"


def test_claims_read_them(rows):
    found = [judged(claim, rows) for claim in SYMMETRY.claims]
    assert [verdict.holds for verdict in found] == ["yes", "yes", "no", "no"]
    assert [verdict.mean for verdict in found] == pytest.approx([79.9237, 0, -0.3, -1], abs=1e-4)


def test_a_correlation_needs_values_that_differ():
    rows = [
        {"label": "a", "seed": seed, "x": x, "y": y} for seed, x, y in ((0, 1, 5), (0, 2, 6), (0, 3, 9), (1, 1, 2), (1, 1, 3))
    ]
    assert rank_correlation("x", "y", ["a"])(rows) == pytest.approx([1.0])
    assert rank_correlation("x", "y", ["b"])(rows) == []


@pytest.mark.parametrize("scale", SCALES)
def test_it_plans_runs_that_differ(scale, tmp_path):
    work = Reproduction(loading.load(), SYMMETRY, scale, {"runs_dir": str(tmp_path)}, quiet=True)
    plans = [job.plan for stage in work.stages for job in work._jobs(stage, {}, cells(stage.grid))]
    assert len({plan.path for plan in plans}) == len(plans) > 3
