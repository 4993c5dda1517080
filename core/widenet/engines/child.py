"""A ``wn`` command as a process of its own, which ends with the process that started it, however that one dies.

It waits at a pipe that nobody writes to: the system closes it with the process that holds the other end. A death signal of the
system (``PR_SET_PDEATHSIG``) would follow the thread that started the command, and there is none outside Linux.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO

STOP = signal.SIGUSR1
"""What tells a command to stop; it notes that in its run."""
PATIENCE = 10.0
"""Seconds that a command has to stop."""


def start(
    words: Sequence[str], cwd: str, said: IO[bytes], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """``wn`` with these words in the folder ``cwd``; what it prints goes to the file ``said``."""
    # -P: like the command wn, and unlike python -m, it finds no modules in the folder where it is started.
    command = [sys.executable, "-P", "-m", "widenet.engines.child", *words]
    env = {**os.environ, **(environment or {})}
    return subprocess.Popen(
        command, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
    )


def stop(process: subprocess.Popen[bytes], patience: float = PATIENCE) -> None:
    """Tell the command to stop, and kill it if it has not done so in time; a signal's handler may do so while others wait."""
    end = time.monotonic() + patience
    process.send_signal(STOP)
    while _alive(process) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)


def _alive(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process goes on; takes no lock and leaves its exit code to others."""
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def main() -> None:
    """Run ``wn`` with the words of this process, until the one that started it has gone."""
    # Slurm sends it to all processes of a job before its time is up; the one that started this one decides what follows.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    pipe = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    threading.Thread(target=_follow, args=(pipe,), daemon=True).start()
    sys.argv[0] = "wn"
    runpy.run_module("widenet", run_name="__main__")


def _follow(pipe: int) -> None:
    """End this process when the pipe is closed: it may note in its run that it was stopped, but not take long over it."""
    with contextlib.suppress(OSError):
        os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
