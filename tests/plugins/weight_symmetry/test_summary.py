"""What a run comes to: field names, best epochs, counts of masks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import Ears, counts, epoch, folder
from torch import nn

from widenet.errors import UsageError, WnError
from widenet_weight_symmetry.across_config import COUNTED, FIELDS, MEASURED
from widenet_weight_symmetry.summary import best, last, log10_permutations, summary

SEVEN = {
    *("total_neurons", "unique_neurons", "zeroed_neurons", "permutations", "sparsity"),
    *("permutation_num_digits", "permutation_log10"),
}
EIGHT = {
    *("train_avg_loss", "train_accuracy", "test_avg_loss", "test_accuracy", "step"),
    *("cosine_distance", "cumulative_gradient_norm", "vector_difference_norm"),
}


def no_network():
    raise AssertionError("the network was made")


def test_the_names_of_the_original(tmp_path):
    lines = [{"epoch": 0, "step": 0, **counts(), **counts("propagated_mask")}, epoch(1, 0.5, 1.0)]
    found = summary(folder(tmp_path / "r", lines), no_network)
    masks, bests = ("mask", "propagated_mask"), ("best_test_acc", "best_train_loss")
    wanted = {f"{part}/{name}" for part in masks for name in SEVEN} | {f"{part}/{name}" for part in bests for name in EIGHT}
    assert set(found) == wanted == set(FIELDS)
    assert (set(COUNTED), set(MEASURED)) == (SEVEN, EIGHT)
    assert {name: found[f"mask/{name}"] for name in COUNTED} == {key.removeprefix("mask/"): v for key, v in counts().items()}


def test_each_best_epoch_is_its_own(tmp_path):
    lines = [counts(), epoch(1, 0.5, 0.9), epoch(2, 0.8, 0.7), epoch(3, 0.6, 0.4), epoch(4, 0.7, 0.5)]
    found = summary(folder(tmp_path / "r", lines), no_network)
    by_accuracy = {key.partition("/")[2]: value for key, value in found.items() if key.startswith("best_test_acc/")}
    assert by_accuracy == {
        "train_avg_loss": 0.7,
        "train_accuracy": 0.72,
        "test_avg_loss": 1.4,
        "test_accuracy": 0.8,
        "step": 20,
        "cosine_distance": 0.8,
        "cumulative_gradient_norm": 6.0,
        "vector_difference_norm": 1.0,
    }
    assert found["best_train_loss/step"] == 30
    assert found["best_train_loss/train_avg_loss"] == 0.4
    assert found["best_train_loss/test_accuracy"] == 0.6
    assert found["best_train_loss/cumulative_gradient_norm"] == 9.0


def test_of_equals_the_later_wins(tmp_path):
    lines = [counts(), epoch(1, 0.8, 0.4), epoch(2, 0.8, 0.4), epoch(3, 0.7, 0.6)]
    found = summary(folder(tmp_path / "r", lines), no_network)
    assert found["best_test_acc/step"] == found["best_train_loss/step"] == 20


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6))
def test_best_as_a_loop_that_keeps_what_is_no_worse(pairs):
    lines = [epoch(number, accuracy, loss) for number, (accuracy, loss) in enumerate(pairs)]
    top = low = lines[0]
    for line in lines:
        top = line if line["test/accuracy"] >= top["test/accuracy"] else top
        low = line if line["train/loss"] <= low["train/loss"] else low
    assert best(lines, "a", "test/accuracy")["a/step"] == top["step"]
    assert best(lines, "a", "train/loss", -1)["a/step"] == low["step"]


def test_epochs_that_were_not_evaluated_or_not_finite_are_no_candidates(tmp_path):
    unseen = {key: value for key, value in epoch(2, 1.0, 0.1).items() if not key.startswith("test/")}
    lines = [counts(), epoch(1, 0.5, 0.9), unseen, epoch(3, math.nan, 0.2), epoch(4, 0.4, math.inf)]
    found = summary(folder(tmp_path / "r", lines), no_network)
    assert found["best_test_acc/step"] == found["best_train_loss/step"] == 10


def test_what_a_run_did_not_track_is_not_there(tmp_path):
    tracked = ("cosine_similarity", "distance", "cumulative_gradient_norm")
    lines = [counts(), {key: value for key, value in epoch(1, 0.5, 1.0).items() if key not in tracked}]
    found = summary(folder(tmp_path / "r", lines), no_network)
    assert set(found) == {
        *counts(),
        *(f"{part}/{name}" for part in ("best_test_acc", "best_train_loss") for name in list(MEASURED)[:5]),
    }
    assert set(summary(folder(tmp_path / "none", [counts()]), no_network)) == set(counts())


def test_the_last_count_stands():
    lines = [counts(sparsity=0.0), epoch(1, 0.5, 1.0) | counts(sparsity=0.5), epoch(2, 0.5, 1.0) | counts(sparsity=0.9)]
    assert last(lines) == counts()
    assert last(lines[:2])["mask/sparsity"] == 0.5
    assert last([epoch(1, 0.5, 1.0)]) == {}


def test_permutations_are_text():
    assert last([counts(permutations=48)])["mask/permutations"] == "48"


def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


def test_masks_of_a_run_that_logged_no_count_are_counted(tmp_path):
    run = folder(tmp_path / "r", [epoch(1, 0.5, 1.0)], component="supermask/supermask")
    run.save_masks("final", {"1": np.array([[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], bool), "3": np.ones((2, 3), bool)})
    found = summary(run, net)
    assert {name: found[f"mask/{name}"] for name in ("total_neurons", "unique_neurons", "zeroed_neurons", "permutations")} == {
        "total_neurons": 3,
        "unique_neurons": 1,
        "zeroed_neurons": 1,
        "permutations": "2",
    }
    assert found["mask/sparsity"] == pytest.approx(10 / 18)
    assert found["mask/permutation_log10"] == pytest.approx(math.log10(3))
    # The third unit's two outgoing connections go as well.
    assert found["propagated_mask/sparsity"] == pytest.approx(12 / 18)
    assert log10_permutations(run, found) == pytest.approx(math.log10(2))


def test_a_run_without_masks_has_all_symmetry(tmp_path):
    run = folder(tmp_path / "r", [epoch(1, 0.5, 1.0)], component="core/train")
    found = summary(run, net)
    assert (found["mask/permutations"], found["mask/sparsity"], found["mask/unique_neurons"]) == ("6", 0.0, 1)


def gone():
    raise UsageError("plugin gone is not installed")


@pytest.mark.parametrize(("make", "said"), [(gone, "plugin gone"), (net, "other")])
def test_masks_that_cannot_be_counted_are_told_and_left_out(make, said, tmp_path):
    run = folder(tmp_path / "r", [epoch(1, 0.5, 1.0)])
    run.save_masks("final", {"other": np.ones((3, 4), bool)})
    run.reporter = Ears()
    assert {name.partition("/")[0] for name in summary(run, make)} == {"best_test_acc", "best_train_loss"}
    (line,) = run.reporter.heard
    assert line.startswith("the masks of ")
    assert said in line


def test_damaged_metrics_or_masks_are_one_line(tmp_path):
    run = folder(tmp_path / "r", [counts()])
    (run.path / "metrics.jsonl").write_text('{"epoch": 1}\nhalf a li\n{}\n')
    with pytest.raises(WnError, match=r"metrics\.jsonl is damaged"):
        summary(run, no_network)
    run = folder(tmp_path / "s", [])
    (run.path / "masks").mkdir()
    (run.path / "masks" / "final.h5").write_bytes(b"nothing")
    with pytest.raises(WnError, match=r"final\.h5"):
        summary(run, net)


@pytest.mark.parametrize(
    ("permutations", "wanted"), [(0, None), (1, 0.0), (2, math.log10(2)), (10**12, 12.0), (10**40, 40.0), (None, None)]
)
def test_log10_without_the_one_that_is_added(permutations, wanted, tmp_path):
    run = folder(tmp_path / "r", [], {"propagate": False})
    fields = {} if permutations is None else {"mask/permutation_log10": math.log10(permutations + 1)}
    assert log10_permutations(run, fields) == (wanted if wanted is None else pytest.approx(wanted, abs=1e-12))


def test_log10_is_that_of_the_masks_which_were_put_on(tmp_path):
    fields = {"mask/permutation_log10": 20.0, "propagated_mask/permutation_log10": 30.0}
    assert log10_permutations(folder(tmp_path / "yes", [], {"propagate": True}), fields) == 30
    assert log10_permutations(folder(tmp_path / "no", [], {"propagate": False}), fields) == 20
    assert log10_permutations(folder(tmp_path / "none", [], {}), fields) == 20
