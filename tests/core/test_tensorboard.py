"""``wn run --tensorboard``: the metrics as scalars, also after a run was broken off and continued."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from processes import fork, run_path

from widenet.builtin import tensorboard
from widenet.runs import Run

TRAIN = ["run", "train", "--arch", "fc:hidden=8", "--dataset", "tiny", "--threads", "1", "--batch-size", "64"]
installed = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="the package tensorboard is not installed"
)


def scalars(run):
    """Tag -> (step, value) of each point, as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    found.Reload()
    return {tag: [(point.step, point.value) for point in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def expected(run):
    """The same from ``metrics.jsonl``."""
    points = {}
    for line in Run.open(run).metrics():
        for tag, value in line.items():
            if tag != "step":
                points.setdefault(tag, []).append((line["step"], pytest.approx(value)))
    return points


@installed
def test_every_metric_is_a_scalar_by_step(tmp_path):
    answer = fork([*TRAIN, "--epochs", "3", "--tensorboard"], tmp_path)
    assert answer.code == 0, answer.err
    assert "failed" not in answer.err
    run = run_path(tmp_path)
    found = scalars(run)
    assert found == expected(run)
    assert [step for step, _ in found["test/accuracy"]] == sorted({line["step"] for line in Run.open(run).metrics()})
    assert {"epoch", "lr", "train/loss", "train/accuracy", "test/loss"} <= found.keys()


@installed
def test_it_is_no_part_of_what_is_run(tmp_path):
    assert fork([*TRAIN, "--epochs", "1"], tmp_path).code == 0
    run = run_path(tmp_path)
    assert not (run / "tensorboard").exists()
    for _ in range(2):
        again = fork([*TRAIN, "--epochs", "1", "--tensorboard"], tmp_path)
        assert again.code == 0
        assert "already finished" in again.err
        assert scalars(run) == expected(run)
        assert len(list((run / "tensorboard").iterdir())) == 1
    assert "tensorboard" not in json.loads((run / "run.json").read_text())["options"]


@installed
@pytest.mark.parametrize("first", [["--tensorboard"], []])
def test_a_run_that_was_killed_is_shown_whole_and_once(first, tmp_path):
    words = [*TRAIN, "--epochs", "3"]
    assert fork([*words, *first], tmp_path, "logged:2:KILL").code < 0
    run = run_path(tmp_path)
    if first:
        assert [value for _, value in scalars(run)["epoch"]] == [1, 2]
    assert fork([*words, "--tensorboard"], tmp_path).code == 0
    assert [value for _, value in scalars(run)["epoch"]] == [1, 2, 3]
    assert scalars(run) == expected(run)


class Writer:
    """Stands in for torch's."""

    made: ClassVar[list] = []

    def __init__(self, folder, purge_step):
        assert purge_step == 0
        self.folder, self.points, self.closed = folder, [], False
        self.made.append(self)

    def add_scalar(self, tag, value, step):
        self.points.append((tag, value, step))

    def flush(self):
        pass

    def close(self):
        self.closed = True


@pytest.fixture
def listener(monkeypatch):
    """A listener that needs no package, and the writers it makes."""
    module = type("Module", (), {"SummaryWriter": Writer})
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: name)
    monkeypatch.setattr(Writer, "made", [])
    return tensorboard.TensorBoard()


def test_only_numbers_that_have_a_place_are_written(listener, tmp_path):
    run = Run(tmp_path, {"seed": 0})
    for line in (
        {"phase": "start", "loss": 1.0},
        {"epoch": 1, "step": 10, "loss": float("nan"), "note": "text", "good": True, "count": 3},
        {"epoch": 2, "loss": 0.5},
    ):
        run.log(line)
        listener.logged(run, json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1]))
    listener.finished(run)
    (writer,) = Writer.made
    assert writer.folder == tmp_path / "tensorboard"
    assert writer.points == [("epoch", 1, 10), ("count", 3, 10), ("epoch", 2, 2), ("loss", 0.5, 2)]
    assert writer.closed


def test_a_listener_that_fails_fails_no_run(listener, wn, monkeypatch):
    monkeypatch.setattr(Writer, "flush", lambda self: 1 / 0)
    answer = wn(*TRAIN, "--epochs", "2", "--tensorboard", "--json")
    assert answer.code == 0
    assert answer.json["status"] == "finished"
    assert answer.err.count("plugin --tensorboard failed on logged (ZeroDivisionError: division by zero); left out") == 1


def test_without_the_package_nothing_starts(wn, tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard, "find_spec", {}.get)
    for words in ([], ["--dry-run"]):
        answer = wn(*TRAIN, "--tensorboard", *words)
        assert (answer.code, answer.out) == (2, "")
        assert answer.line == "--tensorboard needs TensorBoard: pip install 'widenet[tensorboard]'"
    assert not (tmp_path / "runs").exists()
    assert wn(*TRAIN, "--epochs", "1").code == 0


def test_no_method_has_an_option_of_that_name(tmp_path):
    from widenet.loading import load

    (tmp_path / "board.py").write_text(
        "import attrs\nfrom widenet import Method, hookimpl, opt\n"
        "@attrs.frozen(kw_only=True)\nclass Options:\n    tensorboard: bool = opt(False, 'Mine.')\n"
        "@hookimpl\ndef methods():\n    yield Method('board', lambda run, net, data, config: None, Options)\n"
    )
    error = load([Path(tmp_path / "board.py")]).plugins["board"].error
    assert "every command has an option 'tensorboard' of its own; rename it" in error


@installed
def test_runs_that_are_trained_together_each_write_their_own(tmp_path):
    answer = fork([*TRAIN, "--epochs", "2", "--tensorboard", "--repeats", "3", "--stack"], tmp_path)
    assert answer.code == 0, answer.err
    assert "failed" not in answer.err
    for run in sorted(tmp_path.glob("runs/*/seed-*")):
        assert scalars(run) == expected(run)
        assert len(list(run.glob("tensorboard/events.*"))) == 1
