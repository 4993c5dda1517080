"""``wn plot``: files, and what it refuses."""

import json
import shutil

import pytest
from answers import Answer
from processes import fork


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two widths of two seeds; only to be read."""
    home = tmp_path_factory.mktemp("plotted")
    for width in (16, 32):
        for seed in (0, 1):
            words = ["--arch", f"fc:hidden={width}", "--dataset", "tiny", "--epochs", "2", "--seed", seed, "--threads", "1"]
            assert fork(["run", "train", *words, "--quiet"], home).code == 0
    return home


@pytest.fixture
def plot(runs, wn, tmp_path):
    """``plot(*words)`` on a copy of the runs."""
    shutil.copytree(runs / "runs", tmp_path / "runs")
    return lambda *words: wn("plot", *words)


def folders(home):
    return sorted(path.relative_to(home) for path in (home / "runs").iterdir())


def good(answer: Answer, *paths: str) -> None:
    assert answer.code == 0, answer.err
    assert answer.out.split() == list(paths)


def test_one_run_is_drawn_in_its_folder(plot, tmp_path):
    run = folders(tmp_path)[0] / "seed-0"
    good(plot(run), f"{run}/plot.png", f"{run}/plot.svg")
    assert (tmp_path / run / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / run / "plot.svg").read_bytes()


def test_a_folder_is_all_its_seeds(plot, tmp_path):
    good(plot(folders(tmp_path)[0]), "plot.png", "plot.svg")


@pytest.mark.parametrize("kind, start", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_file_of_a_form(kind, start, plot, tmp_path):
    good(plot(*folders(tmp_path), "--what", "accuracy,lr", "--x", "seconds", "-o", f"new/a.{kind}"), f"new/a.{kind}")
    assert (tmp_path / "new" / f"a.{kind}").read_bytes().startswith(start)
    assert not (tmp_path / "plot.png").exists()


def test_results_over_an_option(plot, tmp_path):
    good(plot(*folders(tmp_path), "--x", "hidden", "--y", "test_loss", "-o", "a.png"), "a.png")


def test_a_run_named_twice_is_one(plot, tmp_path):
    run = folders(tmp_path)[0] / "seed-0"
    good(plot(run, run), f"{run}/plot.png", f"{run}/plot.svg")


def test_what_is_left_out_or_not_finished_is_said(plot, tmp_path):
    one, two = (folders(tmp_path)[0] / f"seed-{seed}" for seed in (0, 1))
    record = json.loads((tmp_path / one / "run.json").read_text())
    (tmp_path / one / "run.json").write_text(json.dumps({**record, "status": "interrupted", "result": {}}))
    (tmp_path / two / "metrics.jsonl").unlink()
    answer = plot(one, two)
    good(answer, "plot.png", "plot.svg")
    assert f"left out, having none of these metrics: {two.parent.name}/seed-1" in answer.err
    assert f"{one.parent.name}/seed-0 is not finished (interrupted); drawn as it stands" in answer.err
    over = plot(one, two, "--x", "lr")
    good(over, "plot.png", "plot.svg")
    assert "its last metrics are drawn" in over.err


@pytest.mark.parametrize(
    "words, said",
    [
        (["--what", "acuracy"], "no run has a metric 'acuracy'; did you mean 'accuracy'?; there are lr, loss, accuracy"),
        (["--what", ","], "--what wants the names of metrics"),
        (["--x", "widht"], "no run has an option 'widht'; these runs differ in arch.hidden"),
        (["--x", "lr", "--y", "accuracy"], "no run has a result 'accuracy'; did you mean"),
        (["--x", "lr", "--what", "loss"], "--what is for metrics over epochs"),
        (["--y", "test_accuracy"], "--y is for results over an option"),
        (["--by", "colour"], "no run has an option 'colour'"),
        (["-o", "a.jpg"], "-o a.jpg: name a file that ends in .png, .svg or .pdf"),
        (["-o", "runs"], "-o runs: name a file that ends in"),
        (["nothing"], "there is no run 'nothing'"),
    ],
)
def test_refused(words, said, plot, tmp_path):
    answer = plot(*folders(tmp_path), *words)
    assert answer.code == 2
    assert answer.line.startswith(said)
    assert not list(tmp_path.rglob("*.png"))


def test_without_metrics(plot, tmp_path):
    run = folders(tmp_path)[0] / "seed-0"
    (tmp_path / run / "metrics.jsonl").write_text("")
    answer = plot(run)
    assert answer.code == 2
    assert answer.line.endswith("no metrics to draw; methods that train leave some, one line an epoch")


def test_a_damaged_run(plot, tmp_path):
    run = folders(tmp_path)[0] / "seed-0"
    (tmp_path / run / "metrics.jsonl").write_text("{\n")
    answer = plot(run)
    assert answer.code == 1
    assert "metrics.jsonl is damaged" in answer.line


def test_a_place_that_cannot_be_written(plot, tmp_path):
    (tmp_path / "file").write_text("")
    answer = plot(*folders(tmp_path), "-o", "file/a.png")
    assert answer.code == 1
    assert answer.line.startswith("cannot write file/a.png")
