"""How many runs go at once, told on stderr: one live display on a terminal, a line a run elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from widenet.cli.summary import shown
from widenet.errors import WnError
from widenet.files import read_json
from widenet.plan import Plan
from widenet.runs import Run

if TYPE_CHECKING:
    from rich.console import RenderableType

ROWS = 16
"""Runs that a terminal shows at once."""
TAIL = 4096
"""Bytes of a metrics file that hold its last line."""


@contextlib.contextmanager
def board(jobs: Sequence[tuple[str, Plan]], quiet: bool) -> Iterator[Board]:
    """A display of the runs, by label and plan: silent, live, or in lines."""
    if quiet or not sys.stderr.isatty():
        yield Board(jobs, quiet)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    shown = LiveBoard(jobs, console)
    with Live(get_renderable=shown.draw, console=console, refresh_per_second=2, transient=True):
        yield shown


class Board:
    """One line on stderr for each run that ends."""

    def __init__(self, jobs: Sequence[tuple[str, Plan]], quiet: bool = False) -> None:
        self.jobs, self.quiet, self.done = jobs, quiet, 0
        self.left = set(range(len(jobs)))

    def ended(self, number: int, run: Run | WnError) -> None:
        """Say how the run ended, and how many have."""
        self.left.discard(number)
        self.done += 1
        if not self.quiet:
            self.say(f"{self.done} of {len(self.jobs)}  {self.jobs[number][0]}  {_outcome(run)}")

    def say(self, line: str) -> None:
        """Print it."""
        click.echo(line, err=True)


class LiveBoard(Board):
    """All runs that go now, with their epochs and accuracies, and a bar of all."""

    def __init__(self, jobs: Sequence[tuple[str, Plan]], console: Any) -> None:
        super().__init__(jobs)
        self.console, self.began = console, time.monotonic()
        self.seen = (0.0, self.began)

    def say(self, line: str) -> None:
        """Print it above the display."""
        self.console.print(line, markup=False, highlight=False)

    def draw(self) -> RenderableType:
        """The table as it is now; rich calls this a few times a second, on a thread of its own."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        going = [(label, *found) for label, found in self._going()]
        for label, epoch, epochs, values in going[:ROWS]:
            bar = ProgressBar(total=epochs or 1, completed=epoch, width=24)
            table.add_row(label, bar, f"epoch {epoch}/{epochs}" if epochs else "at work", values)
        if len(going) > ROWS:
            table.add_row(f"and {len(going) - ROWS} more")
        part = sum(epoch / epochs for _, epoch, epochs, _ in going if epochs)
        bar = ProgressBar(total=len(self.jobs), completed=self.done + part, width=24)
        table.add_row("all", bar, f"{self.done} of {len(self.jobs)}", self._remaining(self.done + part))
        return table

    def _going(self) -> Iterator[tuple[str, tuple[int, int, str]]]:
        for number in sorted(self.left):
            label, plan = self.jobs[number]
            if (found := progress(plan.path)) is not None:
                yield label, (found[0], getattr(plan.config, "epochs", 0), found[1])

    def _remaining(self, done: float) -> str:
        """From the last epoch that ended, counted down since."""
        now = time.monotonic()
        if done != self.seen[0]:
            self.seen = (done, now)
        done, then = self.seen
        if not done:
            return _clock(now - self.began)
        return f"about {_clock(max(0, (then - self.began) / done * (len(self.jobs) - done) - (now - then)))} left"


def progress(path: Path) -> tuple[int, str] | None:
    """Epochs done and the last accuracies of a run that is being written; None if it is not."""
    try:
        if read_json(path / "run.json").get("status") != "running":
            return None
        with (path / "metrics.jsonl").open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            line = json.loads(file.read().rstrip(b"\n").rpartition(b"\n")[2])
    except FileNotFoundError:
        return (0, "") if (path / "run.json").exists() else None
    except (OSError, ValueError, AttributeError, WnError):
        return None
    numbers = {key: line.get(f"{key}/accuracy") for key in ("train", "test")}
    return line.get("epoch", 0), "  ".join(f"{key} {value:.1%}" for key, value in numbers.items() if value is not None)


def _outcome(run: Run | WnError) -> str:
    if isinstance(run, WnError):
        return f"failed: {run}"
    accuracy = run.record["result"].get("test_accuracy")
    found = f", test accuracy {shown('accuracy', accuracy)}" if accuracy is not None else ""
    return f"finished in {run.record.get('seconds', 0):.0f} s{found}"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
