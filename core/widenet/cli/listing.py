"""``wn list-plugins``, ``wn list``, ``wn show``, ``wn runs``: what there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from widenet.cli.common import complete_run, described
from widenet.cli.terminal import print_json, print_rows
from widenet.components import Component
from widenet.errors import UsageError
from widenet.options import nearest
from widenet.plugins import KINDS, Registry
from widenet.runs.folders import find, listing
from widenet.runs.run import Run

as_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")
runs_dir = click.option("--runs-dir", default="runs", show_default=True, type=Path, help="Folder of results.")


@click.command("list-plugins")
@as_json
@click.pass_obj
def list_plugins(registry: Registry, as_json: bool) -> None:
    """List plugins: what each offers, and why one is broken or slow."""
    rows = []
    for plugin in registry.plugins.values():
        counts = {hook: sum(isinstance(c, kind) for c in plugin.components) for hook, kind in KINDS.items()}
        why = plugin.error
        if plugin.status == "slow":
            what = f"imports {', '.join(plugin.heavy)} at its top level" if plugin.heavy else "does much at its top level"
            why = f"takes {plugin.seconds:.1f} s to load: {what}; move that into its functions"
        row: dict[str, Any] = {"plugin": plugin.name, "version": plugin.version, "status": plugin.status}
        rows.append({**row, **({} if plugin.error else counts), "why": why})
    print_rows(rows, as_json)


@click.command("list")
@click.argument("kind", type=click.Choice(list(KINDS)))
@as_json
@click.pass_obj
def list_components(registry: Registry, kind: str, as_json: bool) -> None:
    """List models, datasets, methods or analyses."""
    rows = [
        {"name": registry.shown(c), "plugin": c.plugin, "what": c.summary, **_presets(c)}
        for c in registry.components(KINDS[kind])
    ]
    print_rows(rows, as_json)


def _presets(component: Component) -> dict[str, list[str]]:
    return {"presets": list(component.presets)} if component.presets else {}


@click.command("runs")
@runs_dir
@as_json
def list_runs(runs_dir: Path, as_json: bool) -> None:
    """List runs, oldest first."""
    print_rows([_run_row(run) for run in listing(runs_dir)], as_json)


def _run_row(run: Run) -> dict[str, Any]:
    record = run.record
    return {
        "run": run.name,
        "status": record["status"],
        "started": record["started"][:16].replace("T", " "),
        "seconds": record.get("seconds"),
        "test accuracy": record.get("result", {}).get("test_accuracy"),
        "options": ", ".join(f"{name}={value}" for name, value in _given(record).items()),
    }


def _given(record: dict[str, Any]) -> dict[str, Any]:
    """The options that did not stay at their defaults."""
    return {name: o["value"] for name, o in record.get("options", {}).items() if o["source"] != "default"}


@click.command("show")
@click.argument("name", metavar="NAME_OR_RUN", shell_complete=complete_run)
@runs_dir
@as_json
@click.pass_obj
def show(registry: Registry, name: str, runs_dir: Path, as_json: bool) -> None:
    """Show a run, a plugin, or a model, data set, method or analysis with its options."""
    components = [c for kind in KINDS.values() for c in registry.components(kind) if name in (c.name, c.full_name)]
    if components:
        for component in components:
            _show_component(component, as_json)
    elif name in registry.plugins:
        plugin = registry.plugins[name]
        rows = [{"kind": c.kind, "name": c.name, "what": c.summary} for c in plugin.components]
        click.echo(f"plugin {plugin.name} {plugin.version} ({plugin.status}) from {plugin.origin}", err=True)
        print_rows(rows if not plugin.error else [{"broken": plugin.error}], as_json)
    else:
        try:
            _show_run(Run.open(find(name, runs_dir)), as_json)
        except UsageError as error:
            known = [c.name for kind in KINDS.values() for c in registry.components(kind)]
            raise UsageError(f"{error}{nearest(name, [*known, *registry.plugins])}") from None


def _show_component(component: Component, as_json: bool) -> None:
    rows = described(component)
    if as_json:
        presets = {name: dict(values) for name, values in component.presets.items()}
        about = {"kind": component.kind, "name": component.full_name, "what": component.summary}
        print_json({**about, "options": rows, "presets": presets})
        return
    click.echo(f"{component.kind} {component.full_name}: {component.summary}")
    if rows:
        print_rows(rows, as_json=False)
    for name, values in component.presets.items():
        click.echo(f"preset {name}: " + ", ".join(f"{key}={value}" for key, value in values.items()))


def _show_run(run: Run, as_json: bool) -> None:
    if as_json:
        print_json({"run": str(run.path), **run.record, "metrics": run.metrics()})
        return
    record = run.record
    click.echo(f"run {run.path}: {record['status']}{'; ' + record['error'] if record.get('error') else ''}")
    click.echo(f"wn {' '.join(record['argv'])}")
    for kind in ("arch", "dataset"):
        values = ", ".join(f"{key}={value}" for key, value in record[kind]["options"].items())
        click.echo(f"{kind} {record[kind]['name']}: {values}")
    options = record["options"].items()
    print_rows([{"option": name, "value": o["value"], "from": o["source"]} for name, o in options], as_json=False)
    last = [line for line in run.metrics() if "epoch" in line][-1:]
    print_rows([*last, *([record["result"]] if record["result"] else [])], as_json=False)
    analyses = sorted(path.parent.name for path in run.path.glob("analyses/*/run.json"))
    click.echo(f"analyses: {', '.join(analyses) or 'none'}")
