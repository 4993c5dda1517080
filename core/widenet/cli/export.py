"""``wn export RUN --what NAME``: a run's result in one file."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from widenet.cli import completion
from widenet.cli.common import Command, Sectioned, settings_options
from widenet.cli.terminal import print_json
from widenet.components import Export, Settings
from widenet.options import COMMAND_LINE, build, resolve

SETTINGS = ("runs_dir", "device", "threads")
WHAT = "Form, as NAME or NAME:key=value,key=value; `wn list exports` lists them, `wn show NAME` their options."
HELP = """Write a finished run's result in a form that others read; the file is whole or absent.

\b
Example:
  wn export RUN --what subnet
"""
PARAMS: list[click.Parameter] = [
    click.Argument(["run"], shell_complete=completion.run),
    Sectioned(["--what"], required=True, metavar="NAME", help=WHAT, shell_complete=completion.component(Export)),
    Sectioned(
        ["--out"],
        metavar="FILE",
        type=Path,
        help="File to write, in place of exports/NAME in the run's folder.",
        shell_complete=completion.path,
    ),
    Sectioned(["--force"], is_flag=True, help="Replace a file that exists."),
    Sectioned(["--json"], is_flag=True, help="Path and size as JSON."),
    *settings_options(SETTINGS),
]


@click.command("export", cls=Command, params=PARAMS, help=HELP)
@click.pass_context
def export(ctx: click.Context, /, run: str, what: str, out: Path | None, force: bool, json: bool, **given: Any) -> None:
    """Carry out the export, and say where the file is."""
    from widenet.export import carry_out
    from widenet.opening import choose
    from widenet.runs import find

    registry = completion.registry_of(ctx)
    form, config = choose(registry, Export, what)
    assert isinstance(form, Export)
    given = {name: value for name, value in given.items() if value is not None}
    settings = build(Settings, resolve(Settings, given, COMMAND_LINE), "export")
    path = find(run, settings.runs_dir)
    # What an export prints must not mix with the answer.
    with contextlib.redirect_stdout(sys.stderr):
        written = carry_out(registry, form, config, path, out, settings, force)
    size = written.stat().st_size
    if json:
        print_json({"run": str(path), "what": form.full_name, "path": str(written), "bytes": size})
    else:
        click.echo(f"{written}  {size:,} bytes")
