"""What a run says when it is stopped or fails: how to go on, and where it is."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from widenet.errors import INTERRUPTED, Stopped, UsageError, WnError


class Interrupted(WnError):
    """Ctrl-C: the last finished epoch is safe."""

    exit_code = INTERRUPTED


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Turn SIGTERM and SIGUSR1, a scheduler's notice of the end, into :class:`Stopped`; say how to go on, also after Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGTERM, signal.SIGUSR1)

    def stop(number: int, _: Any) -> None:
        # A second notice must not break the record of the first.
        for other in signals:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield
    except Stopped as error:
        error.args = (f"{error}; the last finished epoch is safe, to continue: {again()}",)
        raise
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; to continue: {again()}") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def again() -> str:
    """The command that continues this one: the same, but it must not start anew."""
    return f"wn {shlex.join(word for word in sys.argv[1:] if word != '--fresh')}"


@contextlib.contextmanager
def said(path: Path) -> Iterator[None]:
    """Add the run's folder to what a failure says, where there is one and it is not named."""
    try:
        yield
    except WnError as error:
        if not isinstance(error, (Stopped, UsageError)) and path.exists() and str(path) not in str(error):
            error.args = (f"{error} [{path}]",)
        raise
