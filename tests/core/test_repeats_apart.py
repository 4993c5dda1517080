"""``wn run METHOD --repeats K --no-stack``: a process each, and none of them can hurt another."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import forkserver

import pytest
from alike import differences
from crews import seeds
from processes import PATIENCE, started, wait_for
from test_repeats import COMMON, MASKED, PLUGIN, TRAIN, ok

from widenet.engines import failure, local
from widenet.runs import Run
from widenet.train import checkpoint

APART = ["--no-stack", "--repeats"]
HELD = [*MASKED, "--held"]


@pytest.fixture(autouse=True, scope="module")
def server():
    """The server of the tests' own processes, which those of commands in this process are then forked from as well."""
    forkserver.ensure_running()


def statuses(cwd):
    return [Run.open(path).record["status"] for path in seeds(cwd).values()]


def test_each_is_the_single_command_bit_for_bit(wn, tmp_path):
    (tmp_path / "alone").mkdir()
    for seed in range(3):
        ok(wn(*MASKED, "--seed", seed, cwd=tmp_path / "alone"))
    answer = ok(wn(*MASKED, *APART, 3))
    for one, other in zip(seeds(tmp_path / "alone").values(), seeds(tmp_path).values(), strict=True):
        assert not differences(one, other)
        record = Run.open(other).record
        assert "stacked" not in record["environment"]
        assert record["argv"] == [*Run.open(one).record["argv"], "--quiet"]
    assert sorted(answer.err.splitlines())[0].startswith("seed 0 finished, ")
    assert [line.partition(", ")[2] for line in answer.err.splitlines()] == ["1 of 3", "2 of 3", "3 of 3"]


def test_threads_are_one_unless_told_otherwise(wn, tmp_path):
    words = [word for word in TRAIN if word not in ("--threads", "1")]
    ok(wn(*words, *APART, 1, "--runs-dir", "one"))
    ok(wn(*words, *APART, 1, "--runs-dir", "two", "--threads", 2))
    threads = [
        Run.open(path).record["environment"]["threads"] for way in ("one", "two") for path in tmp_path.glob(f"{way}/*/seed-0")
    ]
    assert threads == [1, 2]


def test_what_does_not_train_is_repeated_too(wn, tmp_path):
    answer = ok(wn("run", "still", *COMMON[:4], "--plugin", PLUGIN, "--repeats", 3, "--json"))
    assert [row["result"] for row in answer.json["runs"]] == [{"seed": seed} for seed in range(3)]


def test_nothing_is_printed_but_the_table(wn, capfd):
    answer = ok(wn(*TRAIN, *APART, 2, "--quiet"))
    assert answer.err == ""
    assert len(answer.out.splitlines()) == 4
    assert capfd.readouterr() == ("", "")


# -- failures ----------------------------------------------------------------------------------------------------------


def test_a_run_that_fails_does_not_stop_the_others(wn, tmp_path):
    answer = wn(*MASKED, "--bad", 0, *APART, 3)
    assert answer.code == 1
    assert answer.line.startswith("seed 0: the loss is no longer finite at step ")
    assert str(seeds(tmp_path)[0].relative_to(tmp_path)) in answer.line
    assert statuses(tmp_path) == ["failed", "finished", "finished"]
    assert "seed 0 failed" in answer.err
    assert answer.err.count(" finished, ") == 2


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_a_process_that_is_killed_is_named(how, wn, tmp_path):
    answer = wn(*MASKED, "--killed", 1, *APART, 3, *how)
    assert answer.code == 1
    assert answer.line == "seed 1: killed by SIGKILL"
    assert statuses(tmp_path) == ["finished", "running", "finished"]
    if how:
        assert answer.json["runs"][1]["error"] == "killed by SIGKILL"
        assert [row["status"] for row in answer.json["runs"]] == ["finished", "failed", "finished"]


def test_only_what_is_left_is_run_again(wn, tmp_path):
    assert wn(*MASKED, "--killed", 1, *APART, 2).code == 1
    path = seeds(tmp_path)[0]
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    assert checkpoint.load(Run.open(seeds(tmp_path)[1]))["epoch"] == 1
    assert wn(*MASKED, "--killed", 1, *APART, 2).code == 1
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


def test_a_run_that_is_refused(wn, tmp_path):
    answer = wn(*MASKED, "--refused", 1, *APART, 2)
    assert (answer.code, answer.line) == (1, "seed 1: no such thing; ask for another")
    assert list(seeds(tmp_path)) == [0]
    answer = wn(*MASKED, "--refused", 1, *APART, 1, "--seed", 1)
    assert (answer.code, answer.line) == (2, "no such thing; ask for another")


@pytest.mark.parametrize(
    ("code", "said", "wanted"),
    [
        (0, "anything", "None"),
        (1, "one\nwn: two; three\n", "WnError('two; three')"),
        (1, "wn: two; three\na warning at the end\n", "WnError('two; three')"),
        (1, "Traceback\nwn: first\nwn: a bug in widenet\n", "WnError('a bug in widenet')"),
        (2, "wn: no such thing\n", "UsageError('no such thing')"),
        (3, "something else\n", "BrokenPlugin('something else')"),
        (73, "wn: process 1 is writing\n", "Busy('process 1 is writing')"),
        (75, "", "WnError('ended with exit code 75')"),
        (-9, "wn: this was earlier\n", "WnError('killed by SIGKILL')"),
    ],
)
def test_what_a_process_failed_with(code, said, wanted):
    assert repr(failure(code, said)) == wanted


# -- as many as there are processors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_more_at_a_time_than_jobs(jobs, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ended = []
    words = [list(map(str, [*HELD, "--seed", seed])) for seed in range(3)]
    thread = threading.Thread(target=lambda: ended.extend(local.commands(words, jobs)))
    thread.start()
    under_way(tmp_path, jobs)
    time.sleep(0.3)
    begun = sorted(path.name for path in tmp_path.glob("held-?"))
    (tmp_path / "go").touch()
    thread.join(PATIENCE)
    assert begun == [f"held-{seed}" for seed in range(jobs)]
    assert sorted(ended) == [(0, None), (1, None), (2, None)]


def test_left_early_the_rest_are_stopped(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = [[*TRAIN, "--seed", "0"], [*HELD, "--seed", "1"]]
    working = local.commands([list(map(str, each)) for each in words], 2)
    assert next(working) == (0, None)
    wait_for(tmp_path / "held-1")
    working.close()
    (path,) = tmp_path.glob("runs/masked*/seed-1")
    assert Run.open(path).record["status"] == "stopped"
    assert gone(int((tmp_path / "held-1").read_text()))


# -- signals -----------------------------------------------------------------------------------------------------------


def gone(pid):
    """Whether the process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def end_soon(children):
    """Wait until the processes have ended."""
    end = time.monotonic() + PATIENCE
    while not all(map(gone, children)):
        assert time.monotonic() < end, "they go on"
        time.sleep(0.02)


def under_way(cwd, count=2):
    """The processes of so many runs, each waiting in its second epoch."""
    for seed in range(count):
        wait_for(cwd / f"held-{seed}")
    return [int((cwd / f"held-{seed}").read_text()) for seed in range(count)]


STOPS = [
    (signal.SIGINT, 130, "interrupted", "interrupted; to continue: wn run masked"),
    (signal.SIGTERM, 75, "stopped", "stopped by SIGTERM; the last finished epoch is safe, to continue: wn run masked"),
]


@pytest.mark.parametrize(("number", "code", "status", "said"), STOPS)
def test_a_signal_stops_all_and_leaves_none_behind(number, code, status, said, wn, tmp_path):
    words = [*HELD, *APART, "2"]
    with started(words, tmp_path) as running:
        children = under_way(tmp_path)
        running.send(number)
        answer = running.wait()
    assert answer.code == code
    assert answer.line.startswith(said)
    assert answer.line.endswith(f"--held {' '.join(APART)} 2")
    assert statuses(tmp_path) == [status] * 2
    assert all(map(gone, children))
    for path in seeds(tmp_path).values():
        assert checkpoint.load(Run.open(path))["epoch"] == 1
    (tmp_path / "go").touch()
    ok(wn(*words))
    (tmp_path / "unbroken").mkdir()
    (tmp_path / "unbroken" / "go").touch()
    ok(wn(*words, cwd=tmp_path / "unbroken"))
    for one, other in zip(seeds(tmp_path / "unbroken").values(), seeds(tmp_path).values(), strict=True):
        assert not differences(one, other)


def test_children_do_not_outlive_one_that_is_killed(tmp_path):
    with started([*HELD, *APART, "2"], tmp_path) as running:
        children = under_way(tmp_path)
        running.send(signal.SIGKILL)
        running.wait()
    end_soon(children)
    assert statuses(tmp_path) == ["stopped"] * 2


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "status", "said"), STOPS)
def test_a_signal_to_all_at_once_as_a_terminal_or_a_scheduler_sends_it(number, code, status, said, tmp_path):
    command = [sys.executable, "-m", "widenet", *map(str, HELD), *APART, "2"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        children = under_way(tmp_path)
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert err.startswith(f"wn: {said}")
    assert err.count("\n") == 1
    end_soon(children)  # SIGTERM also ends the server, which would have told of their end
    assert statuses(tmp_path) == [status] * 2


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ps") is None, reason="ps, which lists processes, is not installed")
def test_ctrl_c_while_the_processes_are_being_made_is_one_line(tmp_path):
    """Their server loads torch meanwhile, which takes its time."""
    command = [sys.executable, "-m", "widenet", *TRAIN, *APART, "2"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        end = time.monotonic() + PATIENCE
        while "forkserver" not in children_of(process.pid) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert err.startswith("wn: interrupted; to continue: wn run train")
    assert err.count("\n") == 1


def children_of(pid):
    """The command lines of a process's children."""
    return subprocess.run(["ps", "-o", "args=", "--ppid", str(pid)], capture_output=True, text=True).stdout


def test_where_all_are_finished_no_process_is_started(wn, monkeypatch):
    before = ok(wn(*MASKED, "--stack", "--repeats", 2))

    def refused(*_):
        raise AssertionError("a process was asked for")

    monkeypatch.setattr(local, "commands", refused)
    assert ok(wn(*MASKED, *APART, 2)).out == before.out
    assert wn(*MASKED, *APART, 3).code != 0
