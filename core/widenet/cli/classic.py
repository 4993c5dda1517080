"""``wn runs --csv``: finished runs in the columns that tables of supermasks have had from the first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from widenet.errors import WnError

if TYPE_CHECKING:
    from widenet.runs import Run

ABOUT = ("Date Finished", "Base Config", "Name", "Prune Rate")
MEASURED = {
    "Current Val Top 1": "test/accuracy",
    "Current Val Top 5": "test/top5",
    "Best Val Top 1": "test/accuracy",
    "Best Val Top 5": "test/top5",
    "Best Train Top 1": "train/accuracy",
    "Best Train Top 5": "train/top5",
}
"""Columns in per cent, each with the metric it is taken from: of the last epoch, or the best of all epochs."""
PRESET = "preset "
HELP = (
    "Finished runs as comma-separated values: last and best accuracies in per cent. Its Prune Rate is the fraction of "
    "weights KEPT, as such tables have it; the best of each column is that of any epoch."
)


def table(runs: Iterable[Run]) -> Iterator[str]:
    """The header, and a line for each finished run; one whose metrics are damaged is left out and named on stderr."""
    yield ", ".join([*ABOUT, *MEASURED])
    for run in runs:
        if run.record["status"] != "finished":
            continue
        try:
            yield ", ".join([*_about(run), *_measured(run.metrics() or [_result(run)])])
        except WnError as error:
            click.echo(f"left out: {error}", err=True)


def _about(run: Run) -> list[str]:
    record = run.record
    date = datetime.fromisoformat(record["finished"]).strftime("%m-%d-%y_%H:%M:%S")
    keep = record["result"].get("kept", record["options"].get("keep", {}).get("value"))
    return [date, _base(record), run.name, "" if keep is None else f"{keep:g}"]


def _result(run: Run) -> dict[str, Any]:
    """A line of metrics for a run that trained nothing."""
    result = run.record["result"]
    return {f"test/{key}": result[f"test_{key}"] for key in ("accuracy", "top5") if f"test_{key}" in result}


def _base(record: dict[str, Any]) -> str:
    """The preset that was used, else method and network."""
    sources = [option["source"] for option in record["options"].values()]
    names = (record["component"], record["arch"]["name"])
    plainly = "-".join(name.rpartition("/")[2] for name in names)
    return next((source.removeprefix(PRESET) for source in sources if source.startswith(PRESET)), plainly)


def _measured(lines: list[dict[str, Any]]) -> list[str]:
    """Metrics in per cent, empty where there is none; each best is the best of its own."""
    cells = []
    for column, metric in MEASURED.items():
        values = [line[metric] for line in lines if metric in line]
        known = [value for value in values if value is not None]
        value = max(known, default=None) if column.startswith("Best") else values[-1] if values else None
        cells.append("" if value is None else f"{100 * value:.2f}")
    return cells
