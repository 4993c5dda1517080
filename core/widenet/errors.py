"""Failures a user can act on, and the exit codes of ``wn``.

An expected failure raises :class:`WnError` with one line: what is wrong; what to do. Anything else is a bug.
"""

from __future__ import annotations

import signal


class WnError(Exception):
    """An expected failure: one line for the user, exit code 1, traceback only in ``log.txt``."""

    exit_code = 1


class UsageError(WnError):
    """The request itself is wrong (unknown name, bad value, clash): exit code 2, nothing was touched."""

    exit_code = 2


class Busy(UsageError):
    """Another process writes the run: exit code 73, try again when it has ended."""

    exit_code = 73


class BrokenPlugin(WnError):
    """The component asked for belongs to a plugin that could not be loaded: exit code 3."""

    exit_code = 3


class Stopped(WnError):
    """SIGTERM or SIGUSR1 arrived: the last finished epoch is safe, exit code 75 (try again later)."""

    exit_code = 75

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")


INTERRUPTED = 130
"""Exit code after Ctrl-C."""
