"""``wn analyze ANALYSIS RUN...``: one command an analysis."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from widenet.cli import completion
from widenet.cli.common import Command, Group, Sectioned, click_options, help_text, layer_options, layered, settings_options
from widenet.cli.terminal import print_json, print_rows
from widenet.components import Analysis, Comparison, Component, Settings
from widenet.plugins import Registry

SETTINGS = ("data_dir", "runs_dir", "device", "workers", "threads")


class Analyses(Group):
    """Every installed analysis as a sub-command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names a user types."""
        return completion.shown(completion.registry_of(ctx), Analysis)

    def get_command(self, ctx: click.Context, name: str) -> click.Command:
        """The command for an analysis, built from its options."""
        return analysis_command(completion.registry_of(ctx).find(Analysis, name), name)


@click.group(cls=Analyses, subcommand_metavar="ANALYSIS RUN...")
def analyze() -> None:
    """Read runs, whatever method made them; results are kept inside each run."""


def analysis_command(analysis: Component, name: str) -> click.Command:
    """``wn analyze NAME RUN...`` with the analysis's options; a comparison is carried out once, over all runs."""
    together = isinstance(analysis, Comparison)
    metavar = "RUN RUN..." if together else "RUN..."
    params: list[click.Parameter] = [
        click.Argument(["runs"], nargs=-1, required=True, metavar=metavar, shell_complete=completion.run),
        *click_options(analysis.config, lambda _: "Analysis"),
        *settings_options(SETTINGS),
        *layer_options(analysis),
        Sectioned(["--fresh"], is_flag=True, help="Compute anew even if it was done."),
        Sectioned(["--quiet", "-q"], is_flag=True, help="No words on stderr."),
        Sectioned(["--json"], is_flag=True, help="Rows as JSON."),
    ]

    @click.pass_context
    def callback(ctx: click.Context, /, runs: tuple[str, ...], **given: Any) -> None:
        from widenet.runs.folders import find

        registry = completion.registry_of(ctx)
        as_json, flags = given.pop("json"), {key: given.pop(key) for key in ("fresh", "quiet")}
        layers = (given.pop("preset"), given.pop("config"))
        config, settings, _ = layered(analysis, given, *layers, SETTINGS, quiet=flags["quiet"])
        paths = [find(text, settings.runs_dir) for text in runs]
        found: list[dict[str, Any]] = []
        for studied in [paths] if together else [[path] for path in paths]:
            title = f"{analysis.name} of {studied[0]}" if len(studied) < len(paths) else ""
            rows = carry_out_analysis(registry, analysis, config, studied, settings, title=title, table=not as_json, **flags)
            found += [{"run": str(studied[0]), **row} for row in rows] if title else rows
        if as_json:
            print_json(found)

    return Command(name, params=params, callback=callback, help=help_text(analysis.function))


def carry_out_analysis(
    registry: Registry,
    analysis: Component,
    config: Any,
    paths: Sequence[Path],
    settings: Settings,
    *,
    fresh: bool = False,
    quiet: bool = False,
    table: bool = True,
    title: str = "",
) -> list[dict[str, Any]]:
    """Compute (or find) the rows for one run, or for those compared, and print them as a table."""
    from widenet.analyse import analyse
    from widenet.cli.progress import reporter

    # What an analysis prints must not mix with its rows.
    with reporter(quiet) as ears, contextlib.redirect_stdout(sys.stderr):
        out, rows = analyse(registry, analysis, config, paths, settings, ears, fresh)
    if table:
        print_rows(rows, as_json=False, title=title)
    if not quiet:
        click.echo(f"kept in {out}", err=True)
    return rows
