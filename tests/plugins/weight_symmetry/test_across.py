"""``wn analyze symmetry-across``: rows, correlations, the summary file, the figure."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import Ears, across, counts, folder, sweep
from scipy.stats import rankdata

from widenet.errors import UsageError, WnError
from widenet.options import build
from widenet_weight_symmetry.across import correlations
from widenet_weight_symmetry.across_config import CHIEF, FIELDS, NUMBERS, Across


def test_a_row_a_run(tmp_path):
    runs = sweep(tmp_path)
    rows, _ = across(runs)
    assert [row["run"] for row in rows] == [run.name for run in runs]
    assert rows[1] == {
        "run": "shuffled-mask-random-0.5/seed-1",
        "arch": "fc",
        "dataset": "tiny",
        "method": "shuffled-mask",
        "seed": 1,
        "mask_type": "random",
        "sparsity": 0.5,
        "log10_permutations": 16.0,
        "test_accuracy": pytest.approx(0.74),
        "mask/sparsity": 0.5,
    }
    assert list(rows[0]) == [*CHIEF, "mask/sparsity"]


def test_wide_rows_have_every_number_and_rows_always_what_the_figure_shows(tmp_path):
    runs = sweep(tmp_path)
    rows, _ = across(runs, wide=True)
    assert set(rows[0]) == {*CHIEF, *NUMBERS} >= {name for name in FIELDS if "permutations" not in name}
    assert rows[0]["best_train_loss/step"] == 10
    assert rows[0]["propagated_mask/sparsity"] is None
    rows, _ = across(runs, x="best_test_acc/step", y="test_accuracy", by="best_train_loss/train_avg_loss")
    assert list(rows[0]) == [*CHIEF, "best_test_acc/step", "best_train_loss/train_avg_loss"]


def test_the_summary_file_is_the_notebooks(tmp_path):
    runs = sweep(tmp_path)
    across(runs)
    found = json.loads((runs[0].out / "summary.json").read_text())
    assert list(found) == [run.name for run in runs]
    for run in runs:
        fields = found[run.name]
        assert set(fields) == {name for name in FIELDS if not name.startswith("propagated_mask/")}
        assert fields["mask/permutations"] == "48"
        assert fields["best_test_acc/test_accuracy"] == run.record["result"]["test_accuracy"]
    assert not any((run.path / "summary.json").exists() for run in runs[1:])


def test_options_in_which_runs_differ_are_named(tmp_path):
    def made(name, seed, depth, method="fixed-param", **record):
        arch = {"name": "weight-symmetry/mnist-fc", "options": {"depth": depth, "growth": 2}}
        run = folder(tmp_path / name / f"seed-{seed}", [counts()], {"sparsity": 0.5}, arch=arch, seed=seed, **record)
        run.record["component"] = f"weight-symmetry/{method}"
        return run

    other = {"name": "core/digits", "options": {"upscale": True}}
    runs = [made("a", 0, 2), made("b", 1, 3), made("c", 0, 3, "prune", dataset=other)]
    rows, _ = across(runs)
    assert [row["arch"] for row in rows] == ["mnist-fc:depth=2", "mnist-fc:depth=3", "mnist-fc:depth=3"]
    assert [row["dataset"] for row in rows] == ["tiny", "tiny", "digits"]
    assert [(row["method"], row["seed"]) for row in rows] == [("fixed-param", 0), ("fixed-param", 1), ("prune", 0)]
    assert [row["mask_type"] for row in rows] == [None] * 3
    assert [row["arch"] for row in across(runs[1:])[0]] == ["mnist-fc", "mnist-fc"]


@pytest.mark.parametrize(
    ("options", "result", "wanted"),
    [
        ({"sparsity": 0.9}, {}, 0.9),
        ({"sparsity": 0.9, "fan_in": None, "rates": []}, {}, 0.9),
        ({"sparsity": 0.9, "fan_in": 8}, {}, None),
        ({"sparsity": 0.9, "rates": ["2=0.3"]}, {}, None),
        ({}, {"drawn_sparsity": 0.71}, 0.71),
        ({"keep": 0.3}, {}, None),
    ],
)
def test_the_sparsity_that_was_asked_for(options, result, wanted, tmp_path):
    runs = [folder(tmp_path / f"seed-{seed}", [counts()], options, result, seed=seed) for seed in (0, 1)]
    assert across(runs)[0][0]["sparsity"] == wanted


def test_correlation_over_all_and_within_each_sparsity(tmp_path):
    runs = sweep(tmp_path)
    _, found = across(runs)
    assert [row["run"] for row in found] == ["spearman", "spearman at sparsity 0.5", "spearman at sparsity 0.9"]
    assert [row["runs"] for row in found] == [12, 6, 6]
    for row in found:
        assert row["spearman"] == pytest.approx(-1)
        assert row["p_value"] < 1e-6
    said = [line for line in runs[0].reporter.heard if "symmetry and test accuracy" in line]
    assert said[0].startswith("symmetry and test accuracy over 12 runs: rank correlation -1.00 (p = ")
    assert "over 6 runs at sparsity 0.9" in said[2]


PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12)


@given(PAIRS)
def test_spearman_is_the_correlation_of_ranks(pairs):
    rows = [{"log10_permutations": float(x), "test_accuracy": y / 7, "sparsity": 0.5} for x, y in pairs]
    (found,) = correlations(rows)
    ranks = [rankdata(values) for values in zip(*pairs, strict=True)]
    if 1 in (len(set(ranks[0])), len(set(ranks[1]))):
        assert (found["spearman"], found["p_value"]) == (None, None)
    else:
        assert found["spearman"] == pytest.approx(np.corrcoef(ranks)[0, 1])
        assert 0 <= found["p_value"] <= 1


def test_runs_with_a_dead_layer_or_without_accuracy_take_no_part(tmp_path):
    runs = sweep(tmp_path, sparsities=(0.5,), types=("random",))
    dead = folder(tmp_path / "dead" / "seed-0", [counts(permutations="0", permutation_log10=0.0)], {}, {"test_accuracy": 0.1})
    unseen = folder(tmp_path / "unseen" / "seed-0", [counts()])
    rows, (found,) = across([*runs, dead, unseen])
    assert rows[3]["log10_permutations"] is None
    assert rows[4]["test_accuracy"] is None
    assert (found["runs"], found["spearman"]) == (3, pytest.approx(-1))


def test_groups_too_small_or_all_alike(tmp_path):
    assert across(sweep(tmp_path / "two", seeds=1, sparsities=(0.5,)))[1] == []
    runs = [folder(tmp_path / f"seed-{n}", [counts()], {"sparsity": 0.9}, {"test_accuracy": n / 9}, seed=n) for n in range(4)]
    runs[0].reporter = Ears()
    _, (found,) = across(runs)
    assert found == {"run": "spearman", "runs": 4, "spearman": None, "p_value": None}
    assert "the same in all" in runs[0].reporter.heard[-1]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("x", "mask/sparsty", "x: 'mask/sparsty' is no column; did you mean 'mask/sparsity'?"),
        ("y", "test_acuracy", "y: 'test_acuracy' is no column; did you mean 'test_accuracy'?"),
        ("by", "masktype", "by: 'masktype' is no column; did you mean 'mask_type'?"),
        ("x", "mask_type", "x: 'mask_type' is no number"),
        ("y", "mask/permutations", "y: 'mask/permutations' is no number"),
        ("x", "???", "there are seed, sparsity"),
    ],
)
def test_an_unknown_column(option, value, said):
    with pytest.raises(UsageError) as caught:
        build(Across, {option: value}, "command line")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_twice(tmp_path):
    runs = sweep(tmp_path)
    with pytest.raises(UsageError, match=r"random-0.5/seed-0 is given twice"):
        across([*runs, runs[0]])
    assert not (runs[0].out / "summary.json").exists()


def test_a_damaged_run(tmp_path):
    runs = sweep(tmp_path)
    (runs[3].path / "metrics.jsonl").write_text("nonsense\n")
    with pytest.raises(WnError, match=r"metrics.jsonl is damaged"):
        across(runs)
    assert not list(runs[0].out.glob("*.png"))


PLUGIN = '''"""The comparison, whatever else its package offers."""
from widenet import Comparison, hookimpl
from widenet_weight_symmetry.across import symmetry_across
from widenet_weight_symmetry.across_config import Across

@hookimpl
def analyses():
    yield Comparison("beside", symmetry_across, Across)
'''


@pytest.fixture
def beside(wn, supermask_run, train_run, tmp_path):
    """The comparison of a run with masks and of one without."""
    (tmp_path / "beside.py").write_text(PLUGIN)
    paths = []
    for run in (supermask_run, train_run):
        paths.append(tmp_path / "runs" / run.parent.name / run.name)
        shutil.copytree(run, paths[-1], ignore=shutil.ignore_patterns("analyses"))
    return lambda *words: wn("--plugin", "beside.py", "analyze", "beside", *paths, *words)


def test_runs_of_other_plugins(beside, tmp_path):
    answer = beside("--json")
    assert answer.code == 0, answer.err
    masked, dense = answer.json
    assert (masked["method"], dense["method"]) == ("supermask", "train")
    assert masked["mask/sparsity"] == pytest.approx(0.6, abs=0.02)
    assert dense["mask/sparsity"] == 0
    assert dense["log10_permutations"] > masked["log10_permutations"] >= 0
    (out,) = (tmp_path / "runs").glob("*/*/analyses/beside-*")
    assert {"result.csv", "summary.json", "log10_permutations-over-mask-sparsity.png"} <= {p.name for p in out.iterdir()}
    found = json.loads((out / "summary.json").read_text())
    assert list(found.values())[1]["mask/permutation_log10"] == pytest.approx(dense["log10_permutations"])


def test_a_bad_column_on_the_command_line(beside, tmp_path):
    answer = beside("--y", "acuracy")
    assert answer.code == 2
    assert "'acuracy' is no column" in answer.line
    assert not list((tmp_path / "runs").glob("*/*/analyses"))
