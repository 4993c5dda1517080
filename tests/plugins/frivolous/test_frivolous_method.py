"""``wn run frivolous`` from end to end: its analyses are kept as those of ``wn analyze``, of the labels it trained on."""

import csv
import json

import pytest
import torch

from widenet.runs import Run
from widenet_frivolous import prunability, redundancy_analysis, training, width_values

TINY = ("frivolous", "--dataset", "tiny")


def of(width, *words):
    return (*TINY, "--arch", f"conv2:width={width}", *(() if "--epochs" in words else ("--epochs", "1")), *words)


def refuse(*given):
    raise AssertionError("measured again")


def test_what_the_run_has_measured_is_found_by_analyses(wn, run, home, monkeypatch):
    paths = [run(*of(width)) for width in (0.125, 0.25)]
    for module, name in ((prunability, "Study"), (width_values, "measure_layers"), (redundancy_analysis, "measure_layers")):
        monkeypatch.setattr(module, name, refuse)
    tables = {}
    for name, words in (("prunability", ["--adaptive"]), ("redundancy", [])):
        answer = wn("analyze", name, paths[0], *words, "--json", cwd=home)
        assert answer.code == 0, answer.err
        tables[name] = answer.json
        (folder,) = (paths[0] / "analyses").glob(f"{name}-*/")
        assert {path.suffix for path in folder.glob(f"{name}.*")} == {".png", ".svg"}
    thresholds = {row["layer"]: row["threshold"] for row in tables["prunability"] if row["what"] == "threshold"}
    result = Run.open(paths[0]).record["result"]
    assert result["prunable"] == thresholds["all"]
    with (paths[0] / "summary.csv").open() as file:
        summary = list(csv.DictReader(file))
    assert [row["layer"] for row in summary] == [row["layer"] for row in tables["redundancy"]]
    for row, found in zip(summary, tables["redundancy"], strict=True):
        assert float(row["prunable"]) == thresholds[row["layer"]]
        assert float(row["redundant"]) == found["compressibility_0.95"]
    answer = wn("analyze", "width", *paths, "--json", cwd=home)
    assert answer.code == 0, answer.err
    widths = {(row["quantity"], row["width"]): row["fraction"] for row in answer.json if row["what"] == "width"}
    assert widths["prunability", 0.125] == pytest.approx(thresholds["all"])
    assert widths["redundancy", 0.125] == pytest.approx(result["redundant"])


def test_analyses_of_another_state_of_the_run_do_not_count(wn, home, run):
    path = run(*of(0.125, "--seed", "3"))
    kept = next((path / "analyses").glob("redundancy-*/run.json"))
    record = json.loads(kept.read_text())
    assert record["of"]["finished"] == ""
    kept.write_text(json.dumps({**record, "of": {**record["of"], "epochs": 7}}))
    before = kept.stat().st_mtime_ns
    assert wn("analyze", "redundancy", path, "--threads", "1", cwd=home).code == 0
    assert kept.stat().st_mtime_ns > before
    assert json.loads(kept.read_text())["of"]["epochs"] == 1


@pytest.mark.parametrize("words", [(), ("--select", "train")], ids=["last", "train"])
def test_an_interruption_between_training_and_study_is_made_good(wn, run, tmp_path, monkeypatch, words):
    words = of(0.125, "--epochs", "2", *words)
    expected = Run.open(run(*words))

    def interrupt(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(redundancy_analysis, "measure_layers", interrupt)
        assert wn("run", *words, "--threads", "1", "--quiet").code == 130
    monkeypatch.setattr(training.Selection, "look", refuse)  # nothing is left to train
    answer = wn("run", *words, "--threads", "1", "--json", "--quiet")
    assert answer.code == 0, answer.err
    assert answer.json["result"] == expected.record["result"]
    kept = {path.parent.name for path in (tmp_path / answer.json["run"]).glob("analyses/*/result.json")}
    assert kept == {path.parent.name for path in expected.path.glob("analyses/*/result.json")}
    assert len(kept) == 2


@pytest.mark.parametrize("labels", ["true", "random"])
def test_analyses_are_of_the_labels_that_were_trained_on(wn, home, run, labels):
    from widenet.builtin.datasets import Tiny, load_tiny
    from widenet.store import read_arrays
    from widenet_frivolous.labels import random_labels

    path = run(*of(0.125, "--labels", labels))
    data = load_tiny(None, Tiny())
    if labels == "random":
        data = random_labels(data, Run.open(path))
    counts = {split: getattr(data, split).labels().bincount(minlength=4) for split in ("train", "test")}
    for split, expected in counts.items():
        answer = wn("analyze", "redundancy", path, "--split", split, "--json", "--threads", "1", cwd=home)
        assert answer.code == 0, answer.err
        folder = home / [line for line in answer.err.splitlines() if line.startswith("kept in")][-1].removeprefix("kept in ")
        assert torch.from_numpy(read_arrays(folder / "arrays" / "redundancy.h5")["linear.3/class_rows"]).equal(expected)
    words = ("--split", "train", "--targets", "all", "--levels", "0,1", "--order", "selectivity", "--json", "--threads", "1")
    rows = wn("analyze", "prunability", path, *words, cwd=home).json
    logged = Run.open(path).metrics()[-1]
    assert rows[0]["accuracy"] == pytest.approx(accuracy(path, data), abs=1e-6)
    assert logged["test/accuracy"] is not None


def accuracy(path, data):
    """Of a run's network on the training samples as they are."""
    from widenet.loading import load
    from widenet.opening import network
    from widenet.train import evaluate

    return evaluate(network(load(), Run.open(path)).eval(), data.train)["accuracy"]
