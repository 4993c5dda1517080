"""Several ``wn`` commands at once, a process each, forked from a server that has torch loaded."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Generator, Sequence
from multiprocessing.connection import wait
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import Any

from widenet.engines import failure
from widenet.errors import WnError

STOP, INTERRUPT = signal.SIGUSR1, signal.SIGUSR2
"""What tells a process to stop, and what that there was a Ctrl-C. A terminal sends that one to all processes itself, so they
ignore it; these two end even a process that has not yet begun."""
LOADED = ["widenet.engines.loaded"]
"""What the server imports once for all."""


def commands(every: Sequence[Sequence[str]], jobs: int) -> Generator[tuple[int, WnError | None], None, None]:
    """Run ``wn`` with each list of words, ``jobs`` at a time.

    Yields the number of each that has ended, as it ends, and what it failed with, if it did. Left early, the rest are
    told to stop (after Ctrl-C, interrupted), which they note in their runs.
    """
    context: Any = multiprocessing.get_context("forkserver")
    _start_server(context)
    left = deque(enumerate(every))
    made: list[Any] = []
    running: dict[Any, tuple[int, Any]] = {}
    notice = STOP
    with tempfile.TemporaryDirectory(prefix="wn-") as folder:
        try:
            while left or running:
                while left and len(running) < jobs:
                    number, words = left.popleft()
                    process = context.Process(target=_work, args=(list(words), str(Path.cwd()), f"{folder}/{number}"))
                    made.append(process)  # before it starts: a signal may come at any moment
                    process.start()
                    running[process.sentinel] = number, process
                for sentinel in wait(list(running)):
                    number, process = running.pop(sentinel)
                    process.join()
                    yield number, failure(process.exitcode, _text(Path(folder, str(number))))
        except KeyboardInterrupt:
            notice = INTERRUPT
            raise
        finally:
            alive = [process for process in made if process.is_alive()]
            for process in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, notice)
            for process in alive:
                process.join()


def _start_server(context: Any) -> None:
    """Start the server, deaf to Ctrl-C until it has loaded what it should."""
    context.set_forkserver_preload(LOADED)
    if threading.current_thread() is not threading.main_thread():
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


def _work(words: list[str], cwd: str, said: str) -> None:
    """Run ``wn`` with these words; what it prints goes to the file ``said``."""
    if not Path(said).parent.exists():
        return  # the command was left before this process began
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(INTERRUPT, signal.default_int_handler)
    threading.Thread(target=_follow_parent, daemon=True).start()
    os.chdir(cwd)
    for stream in (1, 2):
        os.dup2(os.open(said, os.O_CREAT | os.O_WRONLY | os.O_APPEND), stream)
    sys.argv = ["wn", *words]
    runpy.run_module("widenet", run_name="__main__")


def _follow_parent() -> None:
    """Stop this process when the one that asked for it has died."""
    parent: Any = multiprocessing.parent_process()
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def _text(said: Path) -> str:
    return said.read_text(errors="replace") if said.exists() else ""
