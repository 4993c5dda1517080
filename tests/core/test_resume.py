"""A run that was cut short, at any point, ends as an unbroken one does, bit for bit."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from alike import differences, timeless
from processes import HELD, fork, run_path, started, wait_for

from widenet.runs import Run

WILD = Path(__file__).with_name("wild.py")
COMMON = ["--dataset", "tiny", "--threads", "1", "--quiet", "--batch-size", "32"]
FC = ["--arch", "fc:hidden=12,8", *COMMON]
CONV = ["--arch", "conv2:width=0.05", *COMMON]
STEPS = 4
"""Optimiser steps in an epoch."""
METHODS = {
    "train": ["train", *FC, "--epochs", "3", "--save-every", "2"],
    "train adam": ["train", *FC, "--epochs", "3", "--optimizer", "adam", "--warmup", "1"],
    "supermask": ["supermask", "--arch", "conv2:width=0.05", *COMMON, "--epochs", "3", "--save-every", "1"],
    "supermask adam": [
        "supermask",
        "--arch",
        "conv2:width=0.05",
        *COMMON,
        "--epochs",
        "3",
        "--optimizer",
        "adam",
        "--lr",
        "0.01",
    ],
    "noisy": ["noisy", *FC, "--epochs", "3", "--plugin", WILD],
    "twice": ["twice", *FC, "--epochs", "2", "--plugin", WILD],
}
POINTS = [
    ["step:1:KILL"],
    [f"step:{STEPS - 1}:KILL"],
    ["logged:1:KILL"],
    ["logged:2:KILL"],
    ["logged:3:KILL"],
    ["half:1:KILL"],
    ["half:2:KILL"],
    ["renaming:2:KILL"],
    ["saved:1:KILL"],
    [f"step:{STEPS + 1}:KILL"],
    [f"step:{2 * STEPS + 2}:KILL"],
    ["saved:3:KILL"],
    ["weights:1:KILL"],
    ["finishing:1:KILL"],
    ["logged:1:KILL", "logged:1:KILL"],
    ["saved:1:KILL", "logged:1:KILL", "step:2:KILL"],
    ["saved:2:TERM", f"step:{STEPS}:KILL"],
]
LATE = [
    ["logged:4:KILL"],
    ["logged:5:KILL"],
    ["saved:4:KILL"],
    [f"step:{3 * STEPS - 1}:KILL"],
    ["saved:3:KILL", "saved:1:KILL"],
]


@pytest.fixture(scope="module")
def unbroken(unbroken):
    """The finished run of a method that nothing disturbed."""
    return lambda name: unbroken(["run", *METHODS[name]])


def strike(words, cwd, points):
    """Run the command once a point, struck there, and once more to its end."""
    for point in points:
        answer = fork(["run", *words], cwd, point)
        code = {"KILL": -signal.SIGKILL, "TERM": 75}[point.rpartition(":")[2]]
        assert answer.code == code, (point, answer)
    answer = fork(["run", *words], cwd)
    assert answer.code == 0, answer.err


@pytest.mark.parametrize("points", POINTS, ids=" then ".join)
@pytest.mark.parametrize("name", METHODS)
def test_killed_and_resumed_is_the_same(name, points, unbroken, tmp_path):
    strike(METHODS[name], tmp_path, points)
    assert not differences(unbroken(name), run_path(tmp_path))


@pytest.mark.parametrize("points", LATE, ids=" then ".join)
def test_a_second_training_loop_resumes_too(points, unbroken, tmp_path):
    strike(METHODS["twice"], tmp_path, points)
    assert not differences(unbroken("twice"), run_path(tmp_path))


def test_masks_are_written_again_after_a_kill_between_weights_and_masks(unbroken, tmp_path):
    strike(METHODS["supermask"], tmp_path, ["masks:1:KILL"])
    assert not differences(unbroken("supermask"), run_path(tmp_path))


@pytest.mark.parametrize("name", METHODS)
def test_metrics_hold_one_line_an_epoch(name, unbroken):
    epochs = [line["epoch"] for line in Run.open(unbroken(name)).metrics() if "epoch" in line]
    assert epochs == ([1, 2, 1, 2] if name == "twice" else [1, 2, 3])


def test_a_line_logged_before_training_is_kept(unbroken):
    assert Run.open(unbroken("twice")).metrics()[0] == {"phase": "start"}


@pytest.mark.parametrize("points", [[], ["step:2:KILL"], ["logged:1:KILL"], ["saved:1:KILL"], ["weights:1:KILL"]])
def test_a_run_from_another_runs_network_resumes_too(points, unbroken, wn, tmp_path):
    parent = unbroken("train")
    words = ["noisy", "--from", parent, "--plugin", WILD, "--epochs", "2", "--threads", "1", "--quiet"]
    torch.rand(7)  # in this process the global stream stands elsewhere
    assert wn("run", *words, "--runs-dir", "here").code == 0
    strike(words, tmp_path, points)
    (other,) = tmp_path.glob("here/*/seed-0")
    assert not differences(other, run_path(tmp_path))


def test_an_epoch_is_not_done_twice(tmp_path):
    words = METHODS["train"]
    fork(["run", *words], tmp_path, "saved:2:KILL")
    assert len(Run.open(run_path(tmp_path)).metrics()) == 2
    answer = fork(["run", *(word for word in words if word != "--quiet")], tmp_path)
    assert "continuing after epoch 2 of 3" in answer.err
    assert "epoch 3/3" in answer.err
    assert "epoch 2/3" not in answer.err


def test_other_threads_are_told_of(tmp_path):
    words = [word for word in METHODS["train"] if word != "--quiet"]
    fork(["run", *words], tmp_path, "saved:1:KILL")
    words[words.index("--threads") + 1] = "2"
    assert "threads 1 -> 2: results may differ in the last digits" in fork(["run", *words], tmp_path).err


# -- signals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "code", "status", "said"),
    [
        ("TERM", 75, "stopped", "wn: stopped by SIGTERM; the last finished epoch is safe, to continue: wn run train"),
        ("USR1", 75, "stopped", "wn: stopped by SIGUSR1; the last finished epoch is safe, to continue: wn run train"),
        ("INT", 130, "interrupted", "wn: interrupted; to continue: wn run train"),
    ],
)
@pytest.mark.parametrize("where", ["step:2", f"step:{STEPS + 2}", "saved:2", "weights:1"])
def test_a_signal_stops_the_run_and_says_how_to_go_on(what, code, status, said, where, unbroken, tmp_path):
    words = ["run", *METHODS["train"]]
    answer = fork(words, tmp_path, f"{where}:{what}")
    assert answer.code == code
    assert f"wn: {answer.line}".startswith(said)
    assert answer.line.endswith(f"wn {' '.join(words)}")
    path = run_path(tmp_path)
    assert Run.open(path).record["status"] == status
    assert Run.open(path).record["seconds"] >= 0
    assert fork(words, tmp_path).code == 0
    assert Run.open(path).record["status"] == "finished"
    assert not differences(unbroken("train"), path)


@pytest.mark.parametrize(("what", "code"), [("TERM", 75), ("INT", 130)])
def test_the_command_to_go_on_does_not_start_anew(what, code, unbroken, tmp_path):
    words = ["run", *METHODS["train"]]
    answer = fork([*words, "--fresh"], tmp_path, f"saved:1:{what}")
    assert answer.code == code
    assert answer.line.endswith(f"to continue: wn {' '.join(words)}")
    assert answer.err == f"wn: {answer.line}\n"
    assert fork(words, tmp_path).code == 0
    assert not differences(unbroken("train"), run_path(tmp_path))


@pytest.mark.parametrize("what", ["TERM", "USR1"])
def test_a_signal_in_a_hook_of_a_plugin_stops_the_run(what, tmp_path):
    (tmp_path / "listener.py").write_text(
        "import os, signal\nfrom widenet import hookimpl\n\n@hookimpl\ndef logged(run, values):\n"
        f"    os.kill(os.getpid(), signal.SIG{what})\n    sum(range(1000))\n"
    )
    answer = fork(["run", *METHODS["train"], "--plugin", "listener.py"], tmp_path)
    assert answer.code == 75


@pytest.mark.parametrize("what", ["TERM", "USR1"])
def test_a_second_signal_does_not_break_the_record_of_the_first(what, tmp_path):
    answer = fork(["run", *METHODS["train"]], tmp_path, "step:2:TERM", f"stopping:1:{what}")
    assert answer.code == 75
    assert Run.open(run_path(tmp_path)).record["status"] == "stopped"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_signals_from_outside(number, code, tmp_path):
    """The whole program, stopped by somebody else some time after its first epoch."""
    words = ["run", "train", *FC, "--epochs", "400", "--schedule", "constant"]
    command = [sys.executable, "-m", "widenet", *words]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 60
        while not list(tmp_path.glob("runs/*/*/checkpoint.pt")) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in err
    answer = fork(words, tmp_path)
    assert answer.code == 0, answer.err
    assert [line["epoch"] for line in timeless(Run.open(run_path(tmp_path)))] == list(range(1, 401))


# -- two writers -------------------------------------------------------------------------------------------------------


@pytest.fixture
def writer(tmp_path):
    """A process that holds a run, waiting in its second epoch."""
    with started(["run", *METHODS["train"]], tmp_path, f"step:{STEPS + 1}:hold") as running:
        wait_for(tmp_path / HELD)
        yield running


@pytest.mark.parametrize("extra", [[], ["--fresh"]])
def test_a_second_writer_is_refused(extra, writer, tmp_path):
    answer = fork(["run", *METHODS["train"], *extra], tmp_path)
    assert answer.code == 73
    assert f"process {writer.process.pid} on {os.uname().nodename} is writing" in answer.line
    assert len(list((tmp_path / "runs").glob("*/*seed-0"))) == 1
    (tmp_path / HELD).unlink()
    assert writer.wait().code == 0


def test_another_seed_runs_beside(writer, tmp_path):
    assert fork(["run", *METHODS["train"], "--seed", "1"], tmp_path).code == 0


def test_a_dead_writers_lock_is_taken_over(writer, unbroken, tmp_path):
    writer.send(signal.SIGKILL)
    assert writer.wait().code == -signal.SIGKILL
    assert list((tmp_path / "runs").glob("*/.seed-0.writer"))
    assert fork(["run", *METHODS["train"]], tmp_path).code == 0
    assert not differences(unbroken("train"), run_path(tmp_path))
    assert not list((tmp_path / "runs").glob("*/.seed-0.writer"))


def test_a_run_under_way_can_be_listed(writer, tmp_path):
    answer = fork(["runs", "--json"], tmp_path)
    assert '"status": "running"' in answer.out
    writer.send(signal.SIGKILL)
    writer.wait()
    assert '"status": "partial"' in fork(["runs", "--json"], tmp_path).out


# -- a finished run ----------------------------------------------------------------------------------------------------


@pytest.fixture
def finished(unbroken, tmp_path):
    """A copy of a finished run."""
    shutil.copytree(unbroken("supermask").parents[1], tmp_path / "runs")
    return run_path(tmp_path)


def state(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}


def test_a_finished_run_prints_its_result_and_changes_nothing(finished, tmp_path):
    before = state(tmp_path / "runs")
    words = ["run", *METHODS["supermask"]]
    began = time.perf_counter()
    answer = fork(words, tmp_path)
    assert time.perf_counter() - began < 2
    assert answer.code == 0
    assert "test accuracy" in answer.out
    assert answer.err == ""
    told = fork([word for word in words if word != "--quiet"], tmp_path)
    assert "already finished" in told.err
    assert told.out == answer.out
    assert state(tmp_path / "runs") == before


def test_fresh_moves_a_finished_run_aside(finished, tmp_path):
    before = state(finished)
    for number in (1, 2):
        assert fork(["run", *METHODS["supermask"], "--fresh"], tmp_path).code == 0
        assert (finished.parent / f"old-{number}-seed-0" / "run.json").is_file()
    old = finished.parent / "old-1-seed-0"
    assert {path.relative_to(old): time for path, time in state(old).items()} == {
        path.relative_to(finished): time for path, time in before.items()
    }
    assert not differences(old, finished)
