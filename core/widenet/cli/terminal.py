"""What people see: tables on stdout, progress and words on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from widenet.runs import Reporter


def print_rows(rows: Sequence[Mapping[str, Any]], as_json: bool, title: str = "") -> None:
    """Rows as a table, or as a JSON list."""
    if as_json:
        print_json(list(rows))
        return
    from rich.console import Console
    from rich.table import Table

    # Not on a terminal nothing may be cut off: another program reads it.
    console = Console(width=None if sys.stdout.isatty() else 10_000)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(title=title or None, box=None, title_justify="left", header_style="bold", pad_edge=False)
    for column in columns:
        numbers = all(isinstance(row.get(column), (int, float)) for row in rows)
        table.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell(row.get(column, "")) for column in columns))
    console.print(table)


def cell(value: Any) -> str:
    """A value as a table shows it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def print_json(content: Any) -> None:
    """JSON on stdout."""
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


class Lines(Reporter):
    """One line an epoch on stderr, for logs and pipes."""

    def say(self, text: str) -> None:
        """Print it."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201

    def epoch(self, epoch: int, epochs: int, values: Mapping[str, Any]) -> None:
        """Print the epoch's metrics."""
        self.say(f"epoch {epoch}/{epochs}  {_metrics(values)}  {values.get('seconds', 0):.1f} s")


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
        self.tested = ""

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

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
