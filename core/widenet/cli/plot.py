"""``wn plot RUN...``: training curves of runs, or what they came to over an option."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from widenet.cli import completion
from widenet.cli.common import Command
from widenet.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from widenet.runs import Run

TIMES = ("epoch", "seconds")
KINDS = ("png", "svg", "pdf")
HELP = """Draw runs: metrics over epochs, or results over an option in which the runs differ.

Runs that differ in their seed only are one line, their mean, in a band of one standard deviation. RUN may be a folder of
several seeds. An option of the network or the data is written as arch.width or dataset.size, or as width where only one has it.

\b
Examples:
  wn plot RUN
  wn plot RUN RUN --what accuracy,mask/flips --x seconds
  wn plot RUN RUN... --x width --y test_accuracy --by method -o widths.svg
"""


@click.command("plot", cls=Command, help=HELP)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=completion.run)
@click.option("--what", metavar="METRIC,...", help="Metrics to draw, a panel each.  [default: loss,accuracy]")
@click.option("--x", default="epoch", show_default=True, metavar="epoch|seconds|OPTION", help="What stands on the x axis.")
@click.option("--y", metavar="RESULT", help="Result to draw where --x is an option.  [default: test_accuracy]")
@click.option("--by", default="", metavar="OPTION", help="Runs with the same value of this option are one line.")
@click.option(
    "--output",
    "-o",
    type=Path,
    metavar="FILE.png|svg|pdf",
    help="File to write.  [default: plot.png and plot.svg, in the run's folder, or here where there are several]",
    shell_complete=completion.path,
)
@click.option(
    "--runs-dir", default="runs", show_default=True, type=Path, help="Folder of results.", shell_complete=completion.path
)
def plot(runs: tuple[str, ...], what: str | None, x: str, y: str | None, by: str, output: Path | None, runs_dir: Path) -> None:
    """Draw the figure and say where it is."""
    from widenet import figures

    if x in TIMES and y:
        raise UsageError(f"--y is for results over an option (--x width, say); for metrics over {x} it is --what {y}")
    if x not in TIMES and what:
        raise UsageError(f"--what is for metrics over epochs; over an option (--x {x}) one result is drawn: --y {what}")
    named = _files(output)
    found = _opened(runs, runs_dir)
    figure = _curves(found, what, x, by) if x in TIMES else _outcomes(found, x, y or "test_accuracy", by)
    home = found[0].path if len(found) == 1 else Path()
    for path in figures.write(figure, named or [home / f"plot.{kind}" for kind in KINDS[:2]]):
        click.echo(path)


def _files(output: Path | None) -> list[Path]:
    """The file asked for, if there is one.

    Raises:
        UsageError: it is a folder, or of a form that is not written.
    """
    if output is None:
        return []
    if output.suffix.removeprefix(".") not in KINDS or output.is_dir():
        raise UsageError(f"-o {output}: name a file that ends in .png, .svg or .pdf")
    return [output]


def _opened(names: Sequence[str], root: Path) -> list[Run]:
    """The runs meant, each once, in the order named."""
    from widenet.runs import Run, as_it_stands, find_all

    paths = {path.resolve(): path for name in names for path in find_all(name, root)}
    return [as_it_stands(Run.open(path)) for path in paths.values()]


def _curves(runs: Sequence[Run], what: str | None, x: str, by: str) -> Figure:
    from widenet.curves import lacking, training_curves

    columns = list(dict.fromkeys(part.strip() for part in (what or "").split(",") if part.strip()))
    if what is not None and not columns:
        raise UsageError("--what wants the names of metrics, as in --what loss,accuracy")
    figure = training_curves(runs, columns, x, by)
    left = lacking(runs, columns)
    _left_out(left, "none of these metrics")
    for run in runs:
        if run not in left and not run.finished:
            click.echo(f"{run.name} is not finished ({run.record['status']}); drawn as it stands", err=True)
    return figure


def _outcomes(runs: Sequence[Run], x: str, y: str, by: str) -> Figure:
    from widenet.outcomes import outcome_curves, placed

    figure = outcome_curves(runs, x, y, by)
    there = {each.run.path: each.run for each in placed(runs, x, y)}
    _left_out([run for run in runs if run.path not in there], f"no {x} or no {y}")
    for run in there.values():
        if not run.finished:
            click.echo(f"{run.name} is not finished ({run.record['status']}); its last metrics are drawn", err=True)
    return figure


def _left_out(runs: Sequence[Any], why: str) -> None:
    if runs:
        click.echo(f"left out, having {why}: {', '.join(run.name for run in runs)}", err=True)
