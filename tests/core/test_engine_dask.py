"""Sweeps as tasks of a dask cluster: a scheduler and workers that are processes of their own, some of which are killed."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engines import HELD, MASKED, Sweep, assert_same, gone, held, leave, plain, seeded, status, wait_until

from widenet.engines import dask
from widenet.errors import Busy, UsageError
from widenet.runs.lock import writing

pytest.importorskip("distributed", reason='dask.distributed is not installed: pip install "widenet[dask]"')


class Cluster:
    """A scheduler and its workers, of one thread each."""

    def __init__(self, folder, allowed_failures=3):
        self.folder, self.file, self.processes = folder, folder / "scheduler.json", []
        self.environment = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(allowed_failures)}
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", "0")
        wait_until(lambda: self.file.exists() and self.file.read_text().rstrip().endswith("}"))
        self.address = json.loads(self.file.read_text())["address"]

    def start(self, role, *words):
        command = [sys.executable, "-m", f"distributed.cli.dask_{role}", "--scheduler-file", self.file, "--no-dashboard"]
        with (self.folder / f"{role}-{len(self.processes)}.txt").open("wb") as said:
            process = subprocess.Popen([*command, *words], cwd=self.folder, stdout=said, stderr=said, env=self.environment)
        self.processes.append(process)
        return process

    def worker(self, *words):
        """With a nanny, as by default, it is started anew when it dies."""
        return self.start("worker", "--nthreads", "1", "--local-directory", self.folder, *words)

    def end(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)  # a worker may wait for its scheduler, which is gone
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """``make(**options)``: a cluster without workers."""
    made = []

    def cluster(**options):
        made.append(Cluster(tmp_path_factory.mktemp("cluster"), **options))
        return made[-1]

    yield cluster
    for each in made:
        each.end()


@pytest.fixture(scope="module")
def cluster(make):
    """Two workers with nannies."""
    made = make()
    made.worker()
    made.worker()
    return made


@pytest.fixture(scope="module")
def frail(make):
    """One worker, that waits for no busy run; a task that it dies of is not tried again."""
    made = make(allowed_failures=0)
    (made.folder / "impatient.py").write_text("import widenet.engines.dask\nwidenet.engines.dask.PATIENCE = 0\n")
    made.worker("--preload", str(made.folder / "impatient.py"))
    return made


@pytest.fixture
def cwd(tmp_path, monkeypatch):
    """The folder where the sweep works."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def parent(pid):
    """The worker whose process this is."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_the_runs_are_those_of_a_plain_sweep_and_a_failure_does_not_stop_the_others(cluster, cwd, tmp_path):
    every = seeded(MASKED, 2)
    extra = [["run", "train", "--arch", "nope"], [*MASKED, "--seed", "3", "--killed", "3"]]
    ended = dict(dask.commands([*every, *extra], cluster.address))
    assert [ended[number] for number in range(2)] == [None] * 2
    assert isinstance(ended[2], UsageError)
    assert str(ended[2]).startswith("unknown model 'nope'")
    assert repr(ended[3]) == "WnError('killed by SIGKILL')"
    for path in cwd.glob("runs/*/seed-3"):
        (path / "run.json").unlink()
        path.rename(tmp_path / "broken")
    plain(every, tmp_path / "plain")
    assert_same(tmp_path / "plain", cwd)


@pytest.mark.slow
def test_work_moves_when_workers_die(make, cwd, tmp_path):
    """Of three workers one is killed and one told to go, in the midst of their runs."""
    cluster = make()
    for _ in range(3):
        cluster.worker("--no-nanny")
    every = seeded(HELD, 3)
    sweep = Sweep(dask.commands([*every, ["list", "models"]], cluster.address))
    pids = [held(cwd, seed) for seed in range(3)]
    workers = [parent(pid) for pid in pids]
    assert len(set(workers)) == 3
    for worker, number in zip(workers, (signal.SIGKILL, signal.SIGTERM), strict=False):
        os.kill(worker, number)
    wait_until(lambda: gone(pids[0]) and gone(pids[1]))
    assert not gone(pids[2])
    assert not sweep.ended.keys() & {0, 1, 2}
    (cwd / "go").touch()
    assert sweep.wait() == dict.fromkeys(range(4))
    assert [gone(worker) for worker in workers] == [True, True, False]
    plain(every, tmp_path / "plain")
    assert_same(tmp_path / "plain", cwd)


STUBBORN = """
import os, pathlib, signal
from widenet import hookimpl

@hookimpl
def logged(run, values):
    if not pathlib.Path("stubborn").exists():
        pathlib.Path("stubborn").write_text(str(os.getpid()))
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
"""


@pytest.mark.slow
def test_a_run_that_an_orphan_still_writes_is_waited_for(cluster, cwd, tmp_path):
    """Its worker is dead, but it takes all the time that it has."""
    (cwd / "stubborn.py").write_text(STUBBORN)
    words = [*HELD, "--plugin", "stubborn.py"]
    sweep = Sweep(dask.commands([words], cluster.address))
    pid = held(cwd)
    os.kill(parent(pid), signal.SIGKILL)
    began = time.monotonic()
    wait_until(lambda: gone(pid))
    assert time.monotonic() - began > 5
    (cwd / "go").touch()
    assert sweep.wait() == {0: None}
    plain([HELD], tmp_path / "plain")
    assert_same(tmp_path / "plain", cwd)


def test_a_run_that_stays_busy_is_said_to_be(frail, cwd, tmp_path):
    plain([MASKED], tmp_path / "plain")
    (path,) = (tmp_path / "plain").glob("runs/*/seed-*")
    with writing(cwd / path.relative_to(tmp_path / "plain")):
        ((number, error),) = dask.commands([MASKED], frail.address)
    assert number == 0
    assert isinstance(error, Busy)
    assert f"process {os.getpid()} on " in str(error)


def test_a_busy_run_is_tried_again(monkeypatch):
    answers = [(Busy.exit_code, "wn: busy"), (Busy.exit_code, "wn: busy"), (0, "done")]
    monkeypatch.setattr(dask, "_once", lambda *_: answers.pop(0))
    monkeypatch.setattr(dask, "PAUSE", 0)
    assert dask._work([], "", {}, "") == (0, "done")


@pytest.mark.parametrize("interrupted", [False, True])
def test_left_early_the_rest_are_stopped(interrupted, cluster, cwd):
    sweep = dask.commands([["list", "models"], *seeded(HELD, 2), ["list", "methods"]], cluster.address)
    assert next(sweep) == (0, None)
    pids = [held(cwd, seed) for seed in range(2)]
    leave(sweep, interrupted)
    assert all(map(gone, pids))
    assert [status(cwd, seed) for seed in range(2)] == ["stopped"] * 2
    assert list(dask.commands([["list", "models"]], cluster.address)) == [(0, None)]
    assert not list(cwd.glob("held-*"))


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "no://such:1", "tcp://127.0.0.1:port", ""])
def test_a_scheduler_that_cannot_be_reached(address, monkeypatch):
    monkeypatch.setattr(dask, "CONNECT", 0.5)
    with pytest.raises(UsageError) as caught:
        next(dask.commands([["list", "models"]], address))
    assert str(caught.value).startswith(f"no dask scheduler at {address} (")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("left", [False, True])
def test_a_scheduler_that_dies(left, make, cwd, capfd):
    cluster = make()
    worker = cluster.worker("--no-nanny")
    sweep = dask.commands([["list", "models"], HELD, ["list", "models"]], cluster.address)
    assert next(sweep) == (0, None)
    pid = held(cwd)
    cluster.scheduler.kill()
    if left:
        sweep.close()
    said = [(number, str(error)) for number, error in sweep]
    assert said == [(n, "the dask scheduler has dropped it; the same command continues it") for n in (1, 2) if not left]
    assert capfd.readouterr() == ("", "")
    worker.terminate()
    wait_until(lambda: gone(pid))
    assert status(cwd) == "stopped"


def test_a_run_that_takes_its_worker_with_it(frail, cwd):
    sweep = Sweep(dask.commands([HELD], frail.address))
    os.kill(parent(held(cwd)), signal.SIGKILL)
    assert repr(sweep.wait()[0]) == "WnError('dask gave it up: 1 worker died with it')"


def test_a_folder_that_workers_do_not_have(cluster, monkeypatch):
    monkeypatch.setattr(Path, "cwd", lambda: Path("/not/there"))
    ((_, error),) = dask.commands([["list", "models"]], cluster.address)
    assert str(error) == (
        "it could not be started on a dask worker: FileNotFoundError: [Errno 2] No such file or directory: '/not/there'"
    )


def test_without_distributed(monkeypatch):
    monkeypatch.setattr(dask, "find_spec", lambda name: None if name == "distributed" else importlib.util.find_spec(name))
    with pytest.raises(UsageError) as caught:
        next(dask.commands([["list", "models"]], "tcp://127.0.0.1:1"))
    assert str(caught.value) == '--launch dask needs dask.distributed: pip install "widenet[dask]"'
