"""The live display of a sweep: what it shows of runs that are under way, and the time that is left."""

import io
import json

import pytest
from rich.console import Console

from widenet.cli import board
from widenet.errors import WnError


class Job:
    """As much of a plan as the display reads."""

    def __init__(self, path, epochs):
        self.path, self.config = path, type("Config", (), {"epochs": epochs})


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(board.time, "monotonic", lambda: now[0])
    return now


def run_folder(path, *epochs, status="running"):
    path.mkdir()
    (path / "run.json").write_text(json.dumps({"status": status}))
    lines = [json.dumps({"epoch": n, "train/accuracy": 0.5, "test/accuracy": n / 10}) + "\n" for n in epochs]
    if lines:
        (path / "metrics.jsonl").write_text("".join(lines))
    return path


def drawn(live):
    console = Console(file=io.StringIO(), width=120)
    console.print(live.draw())
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_runs_under_way_and_the_time_left(tmp_path, clock):
    under_way = run_folder(tmp_path / "a", 1, 2)
    run_folder(tmp_path / "b", 4, status="finished")
    jobs = [("seed=0", Job(under_way, 4)), ("seed=1", Job(tmp_path / "b", 4)), ("seed=2", Job(tmp_path / "none", 4))]
    live = board.LiveBoard(jobs, Console(file=io.StringIO()))
    clock[0] += 30
    first, whole = drawn(live)
    assert "seed=0" in first
    assert "epoch 2/4 train 50.0% test 20.0%" in first
    assert "0 of 3 about 2:30 left" in whole  # half a run of three in 30 s

    clock[0] += 10  # no epoch has ended: the time that is left falls
    assert "about 2:20 left" in drawn(live)[-1]
    clock[0] += 1000
    assert "about 0:00 left" in drawn(live)[-1]

    live.ended(0, WnError("out of memory"))
    assert "1 of 3  seed=0  failed: out of memory" in live.console.file.getvalue()
    assert [line for line in drawn(live) if "seed=0" in line] == []
    assert "1 of 3" in drawn(live)[-1]


def test_before_the_first_epoch_it_is_the_time_spent(tmp_path, clock):
    live = board.LiveBoard([("seed=0", Job(run_folder(tmp_path / "a"), 4))], Console(file=io.StringIO()))
    clock[0] += 75
    first, whole = drawn(live)
    assert "epoch 0/4" in first
    assert whole.endswith("0 of 1 1:15")


def test_more_runs_than_fit(tmp_path):
    jobs = [(f"seed={n}", Job(run_folder(tmp_path / str(n), 1), 2)) for n in range(board.ROWS + 3)]
    lines = drawn(board.LiveBoard(jobs, Console(file=io.StringIO())))
    assert len(lines) == board.ROWS + 2
    assert lines[-2].split() == ["and", "3", "more"]
