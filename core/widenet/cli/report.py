"""``wn report RUN...``: runs on one HTML page."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from widenet.cli import completion
from widenet.cli.common import Command, Sectioned
from widenet.errors import UsageError, WnError
from widenet.plugins import Registry

if TYPE_CHECKING:
    from widenet.runs import Run

STDOUT = Path("-")
HELP = """Write one HTML page of runs, which shows everything that they keep and needs no network.

A folder that holds several seeds means all of them. The page has every option and its origin, training curves, masks, each
kept analysis with its table and figures, claims, provenance and the command that repeats the run; of several runs, an
overview first. A run that is not finished is shown as it stands, and what is missing or damaged is named.

\b
Examples:
  wn report RUN
  wn report RUN RUN -o page.html
"""
PARAMS: list[click.Parameter] = [
    click.Argument(["runs"], nargs=-1, required=True, metavar="RUN...", shell_complete=completion.run),
    Sectioned(
        ["--output", "-o"],
        metavar="FILE.html",
        type=Path,
        help="File to write, replaced if it exists; - is stdout.  [default: report.html in the first run's folder]",
        shell_complete=completion.path,
    ),
    Sectioned(["--title"], metavar="TEXT", help="Title of the page.  [default: what was run]"),
    Sectioned(
        ["--runs-dir"],
        default="runs",
        show_default=True,
        type=Path,
        metavar="PATH",
        help="Folder of results.",
        shell_complete=completion.path,
    ),
]


@click.command("report", cls=Command, params=PARAMS, help=HELP)
@click.pass_obj
def report(registry: Registry, /, runs: tuple[str, ...], output: Path | None, title: str | None, runs_dir: Path) -> None:
    """Make the page, and say where it is."""
    from widenet.report import page
    from widenet.report.making import PAGE
    from widenet.report.sections import headline

    shown = opened(registry, runs, runs_dir)
    out = output or shown[0].path / PAGE
    if out != STDOUT and out.is_dir():
        raise UsageError(f"{out} is a folder; name a file in it with -o")
    text = page(shown, title=title or headline(shown))
    if out == STDOUT:
        sys.stdout.write(text)
        return
    _write(out, text)
    click.echo(str(out))


def opened(registry: Registry, texts: Iterable[str], root: Path) -> list[Run]:
    """The runs that are meant, each once, as they stand.

    Raises:
        UsageError: there is no such run.
        WnError: a run's record is damaged.
    """
    from widenet.runs import Run, as_it_stands, find_all

    paths = {path.resolve(): path for text in texts for path in find_all(text, root)}
    return [as_it_stands(Run.open(path, registry=registry)) for path in paths.values()]


def _write(out: Path, text: str) -> None:
    """Write the page, whole or not at all.

    Raises:
        WnError: it cannot be written there.
    """
    from widenet.files import FULL, whole

    try:
        with whole(out) as file:
            file.write(text.encode())
    except WnError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno in FULL:
            raise
        raise WnError(f"cannot write {out} ({cause.strerror or cause}); name another file with -o") from error
