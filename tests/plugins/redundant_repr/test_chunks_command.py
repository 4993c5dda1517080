"""``wn analyze chunks``: its rows, files and summary, on runs of every kind."""

import csv
import json
import shutil
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from widenet import figures, loading, opening
from widenet.runs import Run
from widenet.store import read_arrays

FEW = ("--error-repeats", "6", "--r2-repeats", "5", "--threads", "1")
WRN = ("train", "--arch", "wrn16:stem=4,last_width=64", "--dataset", "digits", "--epochs", "2", "--lr", "0.2")
FC = ("train", "--arch", "pmnist-fc:width=16,depth=3", "--dataset", "digits", "--epochs", "2")
PARITY = ("train", "--arch", "pmnist-fc:width=16,depth=3", "--dataset", "parity:source=digits", "--epochs", "2")
SHUFFLED = ("shuffled-mask", "--arch", "fc:hidden=12,8", "--dataset", "tiny", "--epochs", "2", "--sparsity", "0.6")
ALL = ["refitted_test_error", "refitted_train_error", "r2", "r2_out", "r2_held_out", "correlation", "correlation_out"]
TRAINED = ["test_error", "deviation", "rescaled_test_error", "train_error"]


@attrs.frozen
class Studied:
    """What a command gave: its rows, the folder that it kept them in, and its words."""

    rows: list
    folder: Path
    said: str

    @property
    def summary(self):
        return json.loads((self.folder / "summary.json").read_text())

    @property
    def arrays(self):
        return read_arrays(self.folder / "arrays" / "chunks.h5")

    def of(self, of, chunks="random"):
        return [row for row in self.rows if (row["of"], row["chunks"]) == (of, chunks)]


@pytest.fixture
def study(wn, made, monkeypatch):
    """``study(run, *words)``: the analysis, carried out once for all; most figures are made but not saved, which takes long."""

    def analyse(path, *words, again=False, drawn=False):
        key = (path, *words)
        if again or key not in made:
            with monkeypatch.context() as patch:
                if not drawn:
                    patch.setattr(figures, "save", lambda *_: None)
                answer = wn("analyze", "chunks", path, *FEW, *words, "--json")
            assert answer.code == 0, answer.err
            made[key] = Studied(answer.json, Path(answer.err.splitlines()[-1].removeprefix("kept in ")), answer.err)
        return made[key]

    return analyse


def logits(path, split="test"):
    """Logits and labels of a run's network on a whole split, in a plain forward pass."""
    found = Run.open(path)
    registry = loading.load()
    samples = getattr(opening.dataset(registry, found, path, 0, torch.device("cpu")), split)
    x, labels = next(iter(samples.batches(len(samples))))
    with torch.inference_mode():
        return opening.network(registry, found).eval()(x), labels


def error(path, split="test"):
    found, labels = logits(path, split)
    return float((found.argmax(1) != labels).double().mean())


# -- what it gives -----------------------------------------------------------------------------------------------------


def test_rows_of_the_published_grid(run, study):
    path = run(*WRN)
    found = study(path, drawn=True)
    assert [row["size"] for row in found.rows] == [1, 2, 4, 8, 16, 32, 64]
    assert all((row["of"], row["chunks"]) == ("layer", "random") for row in found.rows)
    assert set(found.rows[0]) == {"of", "chunks", "size", *TRAINED, *ALL, "reason"}
    whole = found.rows[-1]
    assert whole["test_error"] == whole["rescaled_test_error"] == pytest.approx(error(path), abs=1e-12)
    assert whole["test_error"] == pytest.approx(1 - Run.open(path).record["result"]["test_accuracy"], abs=1e-12)
    assert whole["train_error"] == pytest.approx(error(path, "train"), abs=1e-12)
    assert (whole["r2"], whole["correlation"], whole["deviation"]) == (pytest.approx(1), pytest.approx(0, abs=1e-9), 0)
    assert (whole["r2_out"], whole["correlation_out"]) == (None, None)
    assert whole["reason"] == "no neuron is outside the chunk"
    assert [row["reason"] for row in found.rows[:-1]] == [""] * 6
    r2 = [row["r2"] for row in found.rows]
    assert r2 == sorted(r2)


def test_files_hold_what_the_rows_say(run, study):
    found = study(run(*WRN), drawn=True)
    assert {"chunks.csv", "chunks.png", "chunks.svg", "summary.json", "result.csv", "result.json"} <= {
        file.name for file in found.folder.iterdir()
    }
    assert (found.folder / "chunks.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (found.folder / "chunks.svg").read_text()[:1000]
    values = {name.removeprefix("layer/random/"): value for name, value in found.arrays.items()}
    assert values["size"].tolist() == [row["size"] for row in found.rows]
    shapes = {name: value.shape for name, value in values.items() if name != "size"}
    assert {shape for name, shape in shapes.items() if name.endswith(("_error", "_loss"))} == {(7, 6)}
    assert {shape for name, shape in shapes.items() if not name.endswith(("_error", "_loss"))} == {(7, 5)}
    for name in ("test_error", "refitted_train_error", "r2", "correlation"):
        assert [row[name] for row in found.rows] == pytest.approx(values[name].mean(1).tolist(), abs=1e-12)
    with (found.folder / "chunks.csv").open() as file:
        tidy = list(csv.DictReader(file))
    assert len(tidy) == 7 * len(shapes)
    for line in tidy:
        of_size = values[line["quantity"]][[row["size"] for row in found.rows].index(int(line["size"]))]
        whole = int(line["size"]) == found.rows[-1]["size"]
        assert int(line["drawn"]) == (1 if whole else len(of_size))
        if line["reason"]:
            assert np.isnan(of_size).all()
            assert line["mean"] == line["deviation"] == line["low"] == line["high"] == ""
        else:
            assert float(line["mean"]) == pytest.approx(of_size.mean())
            assert float(line["low"]) == pytest.approx(np.quantile(of_size, 0.025))
            assert float(line["high"]) == pytest.approx(np.quantile(of_size, 0.975))


def test_the_summary(run, study):
    path = run(*WRN)
    found = study(path, drawn=True)
    summary = found.summary
    assert (summary["layer"], summary["width"], summary["read_out"]) == ("fc:input", 64, "the trained one")
    assert (summary["test_samples"], summary["train_samples"]) == (360, 1437)
    assert summary["test_error"] == pytest.approx(error(path))
    assert summary["train_error"] == pytest.approx(error(path, "train"))
    assert summary["sampling_floor"] == pytest.approx((2 / (np.pi * 360)) ** 0.5)
    assert [each["tolerance"] for each in summary["thresholds"]] == [0.005, 0.01]
    assert summary["critical_width"] == summary["thresholds"][-1]["critical_width"]
    for each in summary["thresholds"]:
        able = [
            row["size"]
            for row in found.rows
            if row["r2"] >= 0.99 and row["train_error"] <= summary["train_error"] + each["tolerance"]
        ]
        assert (each["critical_width"], each["clones"]) == (min(able), 64 // min(able))


def test_a_second_time_it_is_found_and_another_seed_draws_other_chunks(run, study):
    path = run(*FC)
    first = study(path)
    stamp = (first.folder / "summary.json").stat().st_mtime_ns
    second = study(path, again=True)
    assert (second.rows, second.folder) == (first.rows, first.folder)
    assert (first.folder / "summary.json").stat().st_mtime_ns == stamp
    other = study(path, "--chunk-seed", "1")
    assert other.folder != first.folder
    assert [row["size"] for row in other.rows if row not in first.rows] == [1, 2, 4, 8]
    assert other.rows[-1] == first.rows[-1]
    anew = study(path, "--fresh", again=True)
    assert anew.rows == first.rows
    assert (first.folder / "summary.json").stat().st_mtime_ns > stamp


def test_a_layer_without_a_read_out_gets_refitted_ones(run, study):
    found = study(run(*WRN), "--layer", "group1.0", drawn=True)
    assert set(found.rows[0]) == {"of", "chunks", "size", *ALL, "reason"}
    assert [row["size"] for row in found.rows] == [1, 2, 4, 8]
    assert (found.summary["layer"], found.summary["read_out"]) == ("group1.0", "refitted to each chunk")
    assert found.summary["test_error"] == found.rows[-1]["refitted_test_error"]
    assert found.rows[-1]["refitted_train_error"] < found.rows[0]["refitted_train_error"]


def test_places_are_averaged_or_kept_apart(run, study):
    path = run(*WRN)
    mean = study(path, "--layer", "group1.0", drawn=True)
    apart = study(path, "--layer", "group1.0", "--sizes", "2", "--reduction", "flatten")
    assert (mean.summary["width"], apart.summary["width"]) == (8, 8 * 64)
    assert [row["size"] for row in apart.rows] == [2, 512]


def test_every_size(run, study):
    path = run(*FC)
    found = study(path, "--grid", "all", drawn=True)
    assert [(row["chunks"], row["size"]) for row in found.rows] == [("nested", size) for size in range(1, 17)]
    assert found.rows[-1]["test_error"] == pytest.approx(error(path))
    assert found.rows[-1]["train_error"] == pytest.approx(error(path, "train"))
    values = found.arrays
    assert values["layer/nested/test_error"].shape == (16, 6)
    assert (np.diff(values["layer/nested/r2"], axis=0) >= -1e-9).all()
    octaves, nested = study(path).rows[-1], found.rows[-1]
    for name in (*TRAINED, *ALL):
        assert nested[name] == (None if octaves[name] is None else pytest.approx(octaves[name], abs=1e-6)), name


def test_sizes_that_are_given(run, study):
    path = run(*FC)
    found = study(path, "--sizes", "5,3,5")
    assert [row["size"] for row in found.rows] == [3, 5, 16], "the whole layer is what chunks are held against"
    assert found.summary["test_error"] == pytest.approx(error(path))
    assert found.summary["train_error"] == pytest.approx(error(path, "train"))


def test_chosen_chunks_beside_random_ones(run, study):
    path = run(*FC)
    found = study(path, "--structured", "largest-norm,greedy,kmeans", "--sizes", "1,4")
    kinds = ["random", "largest-norm", "greedy", "kmeans"]
    assert [(row["chunks"], row["size"]) for row in found.rows] == [(kind, size) for kind in kinds for size in (1, 4, 16)]
    for kind in kinds:
        assert found.of("layer", kind)[-1]["test_error"] == pytest.approx(error(path))
    drawn, greedy = found.arrays["layer/random/r2_held_out"], found.arrays["layer/greedy/r2_held_out"]
    assert greedy.shape == (3, 1)
    assert greedy[1, 0] > drawn[1].mean(), "those that explain most explain more than random ones"


def test_controls_lie_at_the_sampling_floor(run, study):
    found = study(run(*WRN), "--controls", "noise,shuffled,untrained,untrained-noise")
    floor = found.summary["sampling_floor"]
    for name in ("noise", "shuffled"):
        rows = found.of(name)
        assert [row["size"] for row in rows] == [1, 2, 4, 8, 16, 32, 64]
        for row in rows[:-1]:
            assert row["correlation_out"] == pytest.approx(floor, rel=0.1), (name, row)
            assert row["r2_out"] == pytest.approx(row["size"] / 359, rel=0.5), (name, row)
        assert rows[-1]["r2"] == pytest.approx(1)
    assert found.of("layer")[0]["correlation_out"] > 2 * floor
    for name in ("untrained", "untrained-noise"):
        assert found.of(name)[0]["correlation_out"] > 1.1 * floor, "even untrained neurons see the same images"
    assert set(found.of("noise")[0]) == {"of", "chunks", "size", *ALL[2:4], *ALL[5:], "reason"}


def test_an_ensemble_sums_logits(run, study):
    members = [run(*FC, "--seed", seed) for seed in "012"]
    summed = sum(logits(path)[0] for path in members)
    wanted = float((summed.argmax(1) != logits(members[0])[1]).double().mean())
    found = study(members[0], "--ensemble", ",".join(map(str, members)))
    assert found.summary["error_infinity"] == pytest.approx(wanted, abs=1e-12)
    assert found.summary["error_infinity_source"] == "an ensemble of 3 runs"
    assert wanted not in [error(path) for path in members]


def test_an_ensemble_of_a_member_made_anew_is_another(run, study, tmp_path):
    path, first, second = run(*FC), run(*FC, "--seed", "1"), run(*FC, "--seed", "2")
    assert error(first) != error(second)
    member = tmp_path / "runs" / "member" / "seed-0"
    for source in (first, second):
        shutil.copytree(source, member)
        found = study(path, "--ensemble", str(member), again=True)
        assert found.summary["error_infinity"] == pytest.approx(error(source), abs=1e-12)
        shutil.rmtree(member)


def test_an_error_at_infinity_that_is_given(run, study):
    found = study(run(*FC), "--error-infinity", "0.01")
    assert (found.summary["error_infinity"], found.summary["error_infinity_source"]) == (0.01, "given")
    assert found.rows == study(run(*FC)).rows


def test_as_many_samples_of_each_class(run, study):
    found = study(run(*FC), "--r2-per-class", "20")
    assert found.summary["test_samples"] == 200
    assert found.rows[-1]["test_error"] == pytest.approx(error(run(*FC))), "errors are of all samples"
    assert found.rows[1]["r2"] != study(run(*FC)).rows[1]["r2"]


# -- runs of every kind ------------------------------------------------------------------------------------------------


def test_two_classes_with_one_output(run, study):
    path = run(*PARITY)
    found = study(path, drawn=True)
    assert found.summary["read_out"] == "the trained one"
    assert found.rows[-1]["test_error"] == pytest.approx(error(path))
    assert 0 <= found.rows[-1]["refitted_train_error"] <= 0.3


def test_a_masked_read_out(supermask_run, study):
    assert 0 < Run.open(supermask_run).masks()["linear.4"].mean() < 1
    found = study(supermask_run)
    assert (found.summary["layer"], found.summary["read_out"]) == ("linear.4:input", "the trained one")
    assert found.rows[-1]["test_error"] == pytest.approx(error(supermask_run))
    assert found.rows[-1]["train_error"] == pytest.approx(error(supermask_run, "train"))


def test_masked_layers_before_it(run, study):
    path = run(*SHUFFLED)
    assert 0 < Run.open(path).masks()["linear.2"].mean() < 1
    found = study(path)
    assert (found.summary["width"], found.summary["read_out"]) == (8, "the trained one")
    assert found.rows[-1]["test_error"] == pytest.approx(error(path))
    assert found.rows[-1]["train_error"] == pytest.approx(error(path, "train"))
