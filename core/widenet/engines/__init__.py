"""What carries out ``wn`` commands for sweeps, recipes and repeats: processes here, a Slurm cluster, a dask cluster."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Sequence

from widenet.errors import BrokenPlugin, Busy, UsageError, WnError

Engine = Callable[[Sequence[Sequence[str]]], Generator[tuple[int, WnError | None], None, None]]
"""Runs ``wn`` with each list of words; yields the number of each that ends, and its failure. Closed, it stops the rest."""


def failure(code: int, text: str) -> WnError | None:
    """What a process failed with: the last line of its own that it printed, as the error of its exit code; None for 0."""
    if code == 0:
        return None
    if code < 0:
        return WnError(f"killed by {signal.Signals(-code).name}")
    lines = text.strip().split("\n")
    last = next((line for line in reversed(lines) if line.startswith("wn: ")), lines[-1])
    kind = {kind.exit_code: kind for kind in (UsageError, Busy, BrokenPlugin)}.get(code, WnError)
    return kind(last.removeprefix("wn: ") or f"ended with exit code {code}")
