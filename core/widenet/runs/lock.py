"""One writer a run: a lock that the operating system drops when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from widenet.errors import Busy
from widenet.files import writable

GLANCE = 0.3
"""Seconds to wait for a process that only looks whether the folder is locked."""
PATIENCE = 5.0
"""Seconds to wait for a dead holder's last child (a data-loading worker) to let go."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Hold the folder ``path`` for writing; it need not exist yet.

    Raises:
        Busy: another process writes there; the message names host and process.
        WnError: the folder cannot be written.
    """
    import filelock

    lock = _lock(path)
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=PATIENCE if _dead(path) else GLANCE)
        except filelock.Timeout:
            raise _busy(path) from None
    try:
        with writable(path):
            _note(path).write_text(f"{socket.gethostname()} {os.getpid()}\n")
        yield
    finally:
        with contextlib.suppress(OSError):
            _note(path).unlink(missing_ok=True)
        lock.release()


def discard(path: Path) -> None:
    """Remove the folder, which this process is writing, and all that locking it has left beside it."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        for file in (_note(path), Path(_lock(path).lock_file)):
            file.unlink(missing_ok=True)
        path.parent.rmdir()  # unless it holds other seeds


def check_free(path: Path) -> None:
    """Refuse early what :func:`writing` would refuse, before network and data are made for nothing.

    Raises:
        Busy: another process writes there; the message names host and process.
    """
    if not _dead(path) and locked(path):
        raise _busy(path)


def locked(path: Path) -> bool:
    """Whether some process is writing the folder now."""
    import filelock

    lock = _lock(path)
    if not Path(lock.lock_file).exists():
        return False
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def _busy(path: Path) -> Busy:
    host, pid = _holder(path)
    return Busy(f"process {pid} on {host} is writing {path}; wait for it to end")


def _lock(path: Path) -> Any:
    """The lock lies beside the folder, not in it, so that the folder can be moved aside while it is held."""
    import filelock

    return filelock.FileLock(path.with_name(f".{path.name}.lock"))


def _note(path: Path) -> Path:
    return path.with_name(f".{path.name}.writer")


def _holder(path: Path) -> tuple[str, str]:
    try:
        host, pid = _note(path).read_text().split()
    except (OSError, ValueError):
        return "an unknown host", "?"
    return host, pid


def _dead(path: Path) -> bool:
    """Whether the last holder was a process of this machine that is gone."""
    host, pid = _holder(path)
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False
