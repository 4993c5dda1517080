"""How a run goes, told on stderr: a live bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from widenet.runs import Reporter

PATIENCE = 30.0
"""Seconds between two lines about the same work."""


@contextlib.contextmanager
def reporter(quiet: bool) -> Iterator[Reporter]:
    """Nothing, a live bar on a terminal, or a line an epoch."""
    if quiet:
        yield Reporter()
    elif sys.stderr.isatty():
        with Bar() as bar:
            yield bar
    else:
        yield Lines()


class Lines(Reporter):
    """One line an epoch on stderr, and one every half minute of other work, for logs and pipes."""

    def __init__(self) -> None:
        self.told: dict[str, float] = {}

    def say(self, text: str) -> None:
        """Print it."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201

    def epoch(self, epoch: int, epochs: int, values: Mapping[str, Any]) -> None:
        """Print the epoch's metrics."""
        self.say(f"epoch {epoch}/{epochs}  {_metrics(values)}  {values.get('seconds', 0):.1f} s")

    def work(self, what: str, done: int, total: int) -> None:
        """Say how far it is, now and then."""
        if time.monotonic() - self.told.setdefault(what, time.monotonic()) > PATIENCE:
            self.told[what] = time.monotonic()
            self.say(f"{what}: {done:,} of {total:,}")


class Bar(Reporter):
    """A live bar over all epochs with running loss and accuracy; use as a context manager."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[metrics]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self.task: Any = None
        self.works: dict[str, Any] = {}
        self.tested = ""

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def work(self, what: str, done: int, total: int) -> None:
        """Move the bar of this work, which goes when it is done."""
        task = self.works.get(what)
        if task is None:
            task = self.works[what] = self.progress.add_task(what, total=total, metrics="")
        self.progress.update(task, completed=done, total=total, metrics=f"{done:,} of {total:,}", visible=done < total)

    def say(self, text: str) -> None:
        """Print it above the bar."""
        self.progress.console.print(text, markup=False, highlight=False)

    def step(self, epoch: int, epochs: int, done: float, values: Mapping[str, float]) -> None:
        """Move the bar and show the running means."""
        self._show(epoch, epochs, epoch - 1 + done, f"loss {values['loss']:.3f}  accuracy {values['accuracy']:.1%}")

    def epoch(self, epoch: int, epochs: int, values: Mapping[str, Any]) -> None:
        """Move the bar and show the epoch's test accuracy from here on."""
        if values.get("test/accuracy") is not None:
            self.tested = f"  test {values['test/accuracy']:.1%}"
        text = f"loss {values['train/loss']:.3f}  accuracy {values['train/accuracy']:.1%}"
        self._show(epoch, epochs, epoch, text)

    def _show(self, epoch: int, epochs: int, done: float, text: str) -> None:
        label, metrics = f"epoch {epoch}/{epochs}", text + self.tested
        if self.task is None:
            self.task = self.progress.add_task(label, total=epochs, metrics=metrics)
        self.progress.update(self.task, description=label, completed=done, total=epochs, metrics=metrics)


def _metrics(values: Mapping[str, Any]) -> str:
    shown = {key: value for key, value in values.items() if "/" in key and isinstance(value, float)}
    return "  ".join(f"{key} {value:.4f}" for key, value in shown.items())
