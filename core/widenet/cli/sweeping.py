"""Carrying out many runs: by any engine, beside other sweeps, each failure kept and none of them the end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from widenet.cli.board import Board, board
from widenet.cli.planning import planned, words_for
from widenet.components import Component
from widenet.engines import Engine
from widenet.errors import Busy, UsageError, WnError
from widenet.execute import found
from widenet.grid import placed
from widenet.options import text
from widenet.plan import Plan
from widenet.plugins import Registry
from widenet.runs import Reporter, Run, locked

PATIENCE = 0.5
"""Seconds between two looks at runs that other processes write."""


@attrs.frozen
class Job:
    """One run of a sweep: where its options differ from the others', its plan, and the words of its command."""

    values: Mapping[str, Any]
    plan: Plan
    words: tuple[str, ...]

    @property
    def label(self) -> str:
        """``width=0.5 seed=1``."""
        return " ".join(f"{key}={text(value)}" for key, value in self.values.items()) or self.plan.method.name


def jobs_for(
    registry: Registry,
    method: Component,
    given: Mapping[str, Any],
    cells: Sequence[Mapping[str, Any]],
    front: Sequence[str] = (),
) -> list[Job]:
    """A job for each cell of a grid, whose options stand beside those ``given`` to all.

    Raises:
        UsageError: an option that does not exist, a wrong value, a clash; or two cells that are the same run.
    """
    jobs: list[Job] = []
    for cell in cells:
        options = placed(registry, method, given, cell)
        words = words_for(registry, method, options, front)
        jobs.append(Job(cell, planned(registry, method, options, words[len(front) :]), tuple(words)))
    first: dict[Path, Job] = {}
    for job in jobs:
        other = first.setdefault(job.plan.path, job)
        if other is not job:
            raise UsageError(f"{other.label} and {job.label} are the same run; leave one of them out of the grid")
    return jobs


def standing(job: Job) -> str:
    """How the job's run stands on disk: new, partial, running, finished, or unusable as it is."""
    try:
        run = found(job.plan, Reporter())
    except WnError:
        return "unusable"
    if run is None:
        return "new"
    status = run.record["status"]
    return "partial" if status == "running" and not locked(run.path) else str(status)


def carry_out_all(jobs: Sequence[Job], engine: Engine, quiet: bool, extra: Sequence[str] = ()) -> list[Run | WnError]:
    """The run of every job, or what ended it; a run that another process writes is waited for.

    Args:
        jobs: of which those left to do are carried out.
        engine: runs their commands.
        quiet: show nothing meanwhile.
        extra: words added to each command.
    """
    ended: dict[int, Run | WnError] = {}
    left = list(range(len(jobs)))
    with board([(job.label, job.plan) for job in jobs], quiet) as display:
        while left:
            _wait([jobs[number].plan.path for number in left])
            left = _round(jobs, left, engine, extra, ended, display)
    return [ended[number] for number in range(len(jobs))]


def _round(
    jobs: Sequence[Job],
    left: Sequence[int],
    engine: Engine,
    extra: Sequence[str],
    ended: dict[int, Run | WnError],
    display: Board,
) -> list[int]:
    """Carry out what is left; returns the jobs whose runs others were writing."""
    busy = []
    with contextlib.closing(engine([[*jobs[number].words, "--quiet", *extra] for number in left])) as working:
        for at, failure in working:
            number = left[at]
            if isinstance(failure, Busy):
                busy.append(number)
                continue
            ended[number] = failure or opened(jobs[number].plan.path)
            display.ended(number, ended[number])
    return busy


def opened(path: Path) -> Run | WnError:
    """The run, or why it cannot be read though its command ended well: it was moved or removed meanwhile."""
    try:
        return Run.open(path)
    except WnError as error:
        return error


def _wait(paths: Sequence[Path]) -> None:
    """Wait while others write every one of these runs."""
    while all(locked(path) for path in paths):
        time.sleep(PATIENCE)
