"""A command that another process has started ends with that process."""

import signal
import subprocess
import sys

import pytest
from engines import HELD, MASKED, gone, held, status, wait_until

from widenet.engines import child

STARTER = """
import sys, time
from pathlib import Path
from widenet.engines import child

with open("said", "wb") as said:
    process = child.start(sys.argv[1:], str(Path.cwd()), said)
    Path("started").write_text("")
    process.wait()
"""
DEAF = """
import pathlib, signal, sys
from widenet import hookimpl

@hookimpl
def logged(run, values):
    sys.modules["__main__"].PATIENCE = 0.5
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
"""


@pytest.fixture
def cwd(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def text(path):
    return path.read_text() if path.exists() else ""


def test_it_is_the_command(cwd):
    with (cwd / "said").open("wb") as said, child.start([*MASKED, "--epochs", "1"], str(cwd), said) as process:
        assert process.wait() == 0
    assert status(cwd) == "finished"
    assert "test accuracy" in text(cwd / "said")
    with (cwd / "said").open("wb") as said, child.start(["run", "train", "--arch", "nope"], str(cwd), said) as process:
        assert process.wait() == 2
    assert text(cwd / "said").startswith("wn: unknown model 'nope'")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_the_process_that_started_it(number, cwd):
    with subprocess.Popen([sys.executable, "-c", STARTER, *HELD]) as starter:
        pid = held(cwd)
        starter.send_signal(number)
    wait_until(lambda: gone(pid))
    assert status(cwd) == "stopped"


def test_it_is_killed_if_it_does_not_stop_when_the_other_has_died(cwd):
    (cwd / "deaf.py").write_text(DEAF)
    with subprocess.Popen([sys.executable, "-c", STARTER, *HELD, "--plugin", "deaf.py"]) as starter:
        pid = held(cwd)
        starter.kill()
    wait_until(lambda: gone(pid))
    assert status(cwd) == "running"


@pytest.mark.parametrize(("deaf", "code", "said"), [(False, 75, "stopped"), (True, -signal.SIGKILL, "running")])
def test_it_is_stopped_and_killed_if_that_does_not_help(deaf, code, said, cwd):
    (cwd / "deaf.py").write_text(DEAF)
    with (cwd / "said").open("wb") as file, child.start([*HELD, *["--plugin", "deaf.py"] * deaf], str(cwd), file) as process:
        held(cwd)
        process.send_signal(signal.SIGUSR2)  # a notice of Slurm's to the whole job
        child.stop(process, 0.5 if deaf else 30)
        assert process.wait() == code
    assert status(cwd) == said


def test_stopping_what_has_ended_is_no_mistake(cwd):
    with (cwd / "said").open("wb") as said, child.start(["--version"], str(cwd), said) as process:
        wait_until(lambda: not child._alive(process))
        child.stop(process)
        assert process.wait() == 0
        child.stop(process)
    assert text(cwd / "said")
