"""``wn analyze ANALYSIS RUN...``: one command an analysis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from widenet.cli.common import Command, Sectioned, click_options, complete_run, layered, run_path, settings_options
from widenet.cli.terminal import print_json, print_rows
from widenet.components import Analysis, Component, Settings
from widenet.plugins import Registry

SETTINGS = ("data_dir", "runs_dir", "device", "workers", "threads")


class Analyses(click.Group):
    """Every installed analysis as a sub-command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names a user types."""
        registry = ctx.find_object(Registry)
        return [registry.shown(analysis) for analysis in registry.components(Analysis)] if registry else []

    def get_command(self, ctx: click.Context, name: str) -> click.Command:
        """The command for an analysis, built from its options."""
        registry = ctx.find_object(Registry)
        assert registry is not None
        return analysis_command(registry.find(Analysis, name), name)


@click.group(cls=Analyses, subcommand_metavar="ANALYSIS RUN...")
def analyze() -> None:
    """Read runs, whatever method made them; results are kept inside each run."""


def analysis_command(analysis: Component, name: str) -> click.Command:
    """``wn analyze NAME RUN...`` with the analysis's options."""
    params: list[click.Parameter] = [
        click.Argument(["runs"], nargs=-1, required=True, metavar="RUN...", shell_complete=complete_run),
        *click_options(analysis.config, lambda _: "Analysis"),
        *settings_options(SETTINGS),
        Sectioned(["--preset"], metavar="NAME", help=f"A named set of options: {', '.join(analysis.presets) or 'none'}."),
        Sectioned(["--config"], metavar="FILE.toml", help="Options from a file."),
        Sectioned(["--fresh"], is_flag=True, help="Compute anew even if it was done."),
        Sectioned(["--quiet", "-q"], is_flag=True, help="No words on stderr."),
        Sectioned(["--json"], is_flag=True, help="Rows as JSON."),
    ]

    @click.pass_context
    def callback(ctx: click.Context, /, runs: tuple[str, ...], **given: Any) -> None:
        registry = ctx.find_object(Registry)
        assert registry is not None
        flags = {key: given.pop(key) for key in ("fresh", "quiet", "json")}
        config, settings, _ = layered(analysis, given, given.pop("preset"), given.pop("config"))
        for path in [run_path(text, settings) for text in runs]:
            carry_out_analysis(registry, analysis, config, path, settings, many=len(runs) > 1, **flags)

    return Command(name, params=params, callback=callback, help=analysis.function.__doc__, short_help=analysis.summary)


def carry_out_analysis(
    registry: Registry,
    analysis: Component,
    config: Any,
    path: Path,
    settings: Settings,
    *,
    fresh: bool = False,
    quiet: bool = False,
    json: bool = False,
    many: bool = False,
) -> None:
    """Compute (or find) the rows for one run and print them."""
    from widenet.analyse import analyse
    from widenet.cli.run import reporter

    with reporter(quiet) as ears:
        out, rows = analyse(registry, analysis, config, path, settings, ears, fresh)
    if json:
        print_json([{"run": str(path), **row} for row in rows] if many else rows)
    else:
        print_rows(rows, as_json=False, title=f"{analysis.name} of {path}" if many else "")
    if not quiet:
        click.echo(f"kept in {out}", err=True)
