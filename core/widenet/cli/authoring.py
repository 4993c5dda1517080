"""``wn new-plugin`` and ``wn check-plugin``: for those who write plugins."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from widenet.cli import completion
from widenet.cli.common import Command
from widenet.cli.terminal import print_rows
from widenet.components import Method
from widenet.errors import BrokenPlugin
from widenet.plugins import Registry


@click.command("new-plugin", cls=Command)
@click.argument("name")
@click.option(
    "--into", default=".", show_default=True, type=Path, help="Folder to write it into.", shell_complete=completion.path
)
@click.pass_obj
def new_plugin(registry: Registry, name: str, into: Path) -> None:
    """Write a complete plugin with a test."""
    from widenet.scaffold import write_plugin

    folder = write_plugin(name, into, taken=[*registry.plugins, *completion.shown(registry, Method)])
    name = folder.name.removeprefix("widenet-")
    click.echo(f"wrote {folder}")
    click.echo(f"next:  pip install -e {folder}\n       wn check-plugin {name}\n       wn run {name} --arch conv4")


@click.command("check-plugin", cls=Command)
@click.argument("name", shell_complete=completion.plugin)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def check_plugin(ctx: click.Context, name: str, as_json: bool) -> None:
    """Check that a plugin does what every plugin must."""
    from widenet.testing import findings

    assert ctx.parent is not None
    files = [Path(file) for file in ctx.parent.params["plugin"]]
    rows = []
    for finding in findings(name, files):
        if not as_json:
            print(f"{'FAULT' if finding.fault else 'ok':<6}{finding.subject}: {finding.check}", file=sys.stderr)  # noqa: T201
        row = {"subject": finding.subject, "check": finding.check, "ok": not finding.fault, "fault": finding.fault}
        rows.append(row)
    found = [{name: row[name] for name in ("subject", "check", "fault")} for row in rows if not row["ok"]]
    print_rows(rows if as_json else found, as_json)
    if found:
        raise BrokenPlugin(f"{name}: {len(found)} of {len(rows)} checks found a fault")
    if not as_json:
        click.echo(f"{name}: all {len(rows)} checks passed")
