"""``wn`` commands as tasks of a dask cluster, each a process of the worker that has the task.

A worker that dies takes its processes with it; dask gives their tasks to others, where the runs continue from their last
epochs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

from widenet.engines import child, failure
from widenet.errors import Busy, UsageError, WnError

CONNECT = 10.0
"""Seconds to wait for the scheduler."""
PATIENCE = 2 * child.PATIENCE
"""Seconds to wait for a run that a process of a dead worker still writes."""
PAUSE = 1.0
"""Seconds between two tries."""
GLANCE = 0.2
"""Seconds between two looks at a process."""

_lock = threading.Lock()
_running: set[tuple[str, subprocess.Popen[bytes]]] = set()
"""In a worker: processes, and the sweeps they belong to."""
_stopped: set[str] = set()
"""In a worker: sweeps that were left early."""


def commands(every: Sequence[Sequence[str]], scheduler: str) -> Generator[tuple[int, WnError | None], None, None]:
    """Run ``wn`` with each list of words on the workers of the cluster, in a folder of the same path as this one.

    Yields the number of each that has ended, as it ends, and what it failed with, if it did. Left early, the rest are
    told to stop, which they note in their runs.

    Args:
        every: the lists of words.
        scheduler: address of the cluster's scheduler, ``tcp://HOST:PORT``.

    Raises:
        UsageError: dask.distributed is not installed; the scheduler cannot be reached.
    """
    with _connected(scheduler) as client:
        from distributed import as_completed

        sweep, cwd = uuid4().hex, str(Path.cwd())
        switches = {name: value for name, value in os.environ.items() if name.startswith("WN_")}
        futures: dict[Any, int] = {}
        left = True
        try:
            for number, words in enumerate(every):
                task = client.submit(_work, list(words), cwd, switches, sweep, key=f"wn-{sweep}-{number}", pure=False)
                futures[task] = number
            with client.as_current():
                ended = as_completed(list(futures))
            for future in ended:
                yield futures[future], _outcome(future)
            left = False
        finally:
            if left:
                with contextlib.suppress(OSError):  # the scheduler is gone, and its workers with it
                    client.cancel(list(futures))
                    client.run(_stop, sweep, on_error="ignore")


@contextlib.contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    if find_spec("distributed") is None:
        raise UsageError('--launch dask needs dask.distributed: pip install "widenet[dask]"')
    from distributed import Client

    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # a lost scheduler is told of by the commands
    try:
        asyncio.run(_reach(scheduler))
        client = Client(scheduler, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"no dask scheduler at {scheduler} ({error}); start one: dask scheduler") from None
    with client:
        yield client


async def _reach(scheduler: str) -> None:
    """Connect and hang up.

    Raises:
        OSError: Nothing answers there.
        ValueError: This is not an address.

    A client that cannot connect is left to the collector, which closes it at any time: while the next one starts, for ever.
    """
    from distributed.comm.core import connect
    from distributed.security import Security

    comm = await connect(scheduler, timeout=CONNECT, **Security().get_connection_args("client"))
    comm.abort()


def _outcome(future: Any) -> WnError | None:
    """What a task that is no longer under way has come to."""
    from distributed import KilledWorker

    if future.status == "finished":
        return failure(*future.result())
    if future.status != "error":
        return WnError("the dask scheduler has dropped it; the same command continues it")
    error = future.exception()
    if isinstance(error, KilledWorker):
        died = error.allowed_failures + 1
        return WnError(f"dask gave it up: {died} worker{'s' if died > 1 else ''} died with it")
    return WnError(f"it could not be started on a dask worker: {type(error).__name__}: {error}")


# -- on a worker -------------------------------------------------------------------------------------------------------


def _work(words: list[str], cwd: str, switches: Mapping[str, str], sweep: str) -> tuple[int, str]:
    """Run ``wn``; its exit code and what it printed."""
    end = time.monotonic() + PATIENCE
    while True:
        code, text = _once(words, cwd, switches, sweep)
        if code != Busy.exit_code or time.monotonic() > end:
            return code, text
        time.sleep(PAUSE)


def _once(words: list[str], cwd: str, switches: Mapping[str, str], sweep: str) -> tuple[int, str]:
    with tempfile.TemporaryFile() as said:
        with _lock:
            if sweep in _stopped:
                return -child.STOP, ""
            process = child.start(words, cwd, said, switches)
            _running.add((sweep, process))
        try:
            with process:
                code = _wait(process)
        finally:
            with _lock:
                _running.discard((sweep, process))
        said.seek(0)
        return code, said.read().decode(errors="replace")


def _wait(process: subprocess.Popen[bytes]) -> int:
    """The exit code of the process; where the worker leaves the cluster, stop it, for its task goes to another."""
    from distributed import Reschedule, Status, get_worker

    worker = get_worker()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(GLANCE)
        if worker.status not in (Status.running, Status.paused, Status.init):
            child.stop(process)
            raise Reschedule


async def _stop(sweep: str) -> None:
    """Stop the processes of a sweep; returns when they have ended."""
    with _lock:
        _stopped.add(sweep)
        processes = [process for owner, process in _running if owner == sweep]
    await asyncio.gather(*(asyncio.to_thread(child.stop, process) for process in processes))
