"""``wn list-plugins``, ``wn list``, ``wn show``: what there is."""

from __future__ import annotations

import shlex
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from widenet.cli import completion
from widenet.cli.common import Command, described
from widenet.cli.sources import MANY
from widenet.cli.terminal import print_json, print_rows
from widenet.components import Component
from widenet.errors import UsageError
from widenet.options import nearest, pair, plain, spec
from widenet.plugins import KINDS, Plugin, Registry
from widenet.recipes import Claim, Recipe, chain, outline

if TYPE_CHECKING:
    from widenet.runs import Run

as_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")
runs_dir = click.option(
    "--runs-dir", default="runs", show_default=True, type=Path, help="Folder of results.", shell_complete=completion.path
)


@click.command("list-plugins", cls=Command)
@as_json
@click.pass_obj
def list_plugins(registry: Registry, as_json: bool) -> None:
    """List plugins: what each offers, and why one is broken or slow."""
    print_rows([_plugin_row(plugin) for plugin in registry.plugins.values()], as_json)


def _plugin_row(plugin: Plugin) -> dict[str, Any]:
    counts = {hook: sum(isinstance(c, kind) for c in plugin.components) for hook, kind in KINDS.items()}
    about = {"plugin": plugin.name, "version": plugin.version, "from": plugin.origin, "status": plugin.status}
    return {**about, **(dict.fromkeys(counts) if plugin.error else counts), "why": plugin.why}


@click.command("list", cls=Command)
@click.argument("kind", type=click.Choice(list(KINDS)), metavar="|".join(KINDS))
@as_json
@click.pass_obj
def list_components(registry: Registry, kind: str, as_json: bool) -> None:
    """List models, datasets, methods, analyses, exports or recipes."""
    rows = [
        {"name": registry.shown(c), "plugin": c.plugin, "what": c.summary, "presets": _preset_names(c, as_json)}
        for c in registry.components(KINDS[kind])
    ]
    print_rows(rows, as_json)


def _preset_names(component: Component, as_json: bool) -> list[str] | str:
    """The names, or how many there are where a table has no room for them."""
    many = len(component.presets) > MANY and not as_json
    return f"{len(component.presets)} (wn show {component.name})" if many else list(component.presets)


@click.command("show", cls=Command)
@click.argument("name", metavar="NAME_OR_RUN", shell_complete=completion.anything)
@runs_dir
@as_json
@click.pass_obj
def show(registry: Registry, name: str, runs_dir: Path, as_json: bool) -> None:
    """Show a run, a plugin, a recipe, or a model, data set, method, analysis or export with its options."""
    components = [c for kind in KINDS.values() for c in registry.components(kind) if name in (c.name, c.full_name)]
    if components:
        _show_components(components, as_json)
    elif name in registry.plugins:
        _show_plugin(registry.plugins[name], as_json)
    else:
        _show_run(_find_run(registry, name, runs_dir), as_json)


def _find_run(registry: Registry, name: str, root: Path) -> Run:
    from widenet.runs import Run, as_it_stands, find

    try:
        run = Run.open(find(name, root))
    except UsageError as error:
        registry.refuse_broken(Component, name)
        known = [c.name for kind in KINDS.values() for c in registry.components(kind)]
        if hint := nearest(name, [*known, *registry.plugins]):
            raise UsageError(f"there is nothing called {name!r}{hint}{registry.broken_ones()}") from None
        raise UsageError(f"{error}{registry.broken_ones()}") from None
    return as_it_stands(run)


def _show_components(components: list[Component], as_json: bool) -> None:
    """All of a name: one object, or a list where several plugins or kinds have it."""
    if as_json:
        found = [_component_content(component) for component in components]
        print_json(found[0] if len(found) == 1 else found)
        return
    for component in components:
        click.echo(f"{component.kind} {component.full_name}: {component.summary}")
        print_rows(described(component), as_json=False)
        _show_presets(component)
        if isinstance(component, Recipe):
            _show_recipe(component)


def _show_recipe(recipe: Recipe) -> None:
    """Where it is from, what it runs at each scale, and what it is held against."""
    click.echo(recipe.source)
    for scale, stages in recipe.scales.items():
        click.echo()
        print_rows(outline(chain(stages)), as_json=False, title=f"{scale}:")
    click.echo()
    print_rows([_claim(claim) for claim in recipe.claims], as_json=False)


def _claim(claim: Claim) -> dict[str, Any]:
    scale, unit = (100, " %") if claim.unit == "%" else (1, f" {claim.unit}" if claim.unit else "")
    limits = {"above": claim.above, "below": claim.below}
    bounds = [f"{word} {scale * limit:g}{unit}" for word, limit in limits.items() if isfinite(limit)]
    return {"claim": claim.text, "source": claim.source, "paper": claim.paper, "holds if": " and ".join(bounds)}


def _show_presets(component: Component) -> None:
    """A line each, aligned where there are many."""
    found = {
        name: ", ".join(pair(key, plain(value)) for key, value in values.items()) for name, values in component.presets.items()
    }
    if len(found) > MANY:
        click.echo()
        print_rows([{"preset": name, "options": text} for name, text in found.items()], as_json=False)
        return
    for name, text in found.items():
        click.echo(f"preset {name}: {text}")


def _component_content(component: Component) -> dict[str, Any]:
    presets = {name: {key: plain(value) for key, value in values.items()} for name, values in component.presets.items()}
    about = {"kind": component.kind, "name": component.full_name, "what": component.summary}
    more = {}
    if isinstance(component, Recipe):
        scales = {scale: outline(chain(stages)) for scale, stages in component.scales.items()}
        more = {"source": component.source, "scales": scales, "claims": [_claim(claim) for claim in component.claims]}
    return {**about, "options": described(component), "presets": presets, **more}


def _show_plugin(plugin: Plugin, as_json: bool) -> None:
    rows = [{"kind": c.kind, "name": c.name, "what": c.summary} for c in plugin.components if not plugin.error]
    if as_json:
        print_json({**_plugin_row(plugin), "components": rows})
        return
    click.echo(f"plugin {plugin.name} {plugin.version} from {plugin.origin}: {plugin.status}{plugin.why and f', {plugin.why}'}")
    print_rows(rows, as_json=False)


def _show_run(run: Run, as_json: bool) -> None:
    if as_json:
        print_json({"run": str(run.path), **run.record, "metrics": run.metrics()})
        return
    from widenet.cli.summary import print_result

    record = run.record
    click.echo(f"run {run.path}: {record['status']}{'; ' + record['error'] if record.get('error') else ''}")
    click.echo(f"wn {shlex.join(record['argv'])}")
    for kind in ("arch", "dataset"):
        click.echo(f"{kind} {spec(record[kind])}")
    click.echo()
    options = record["options"].items()
    print_rows([{"option": name, "value": o["value"], "from": o["source"]} for name, o in options], as_json=False)
    click.echo()
    print_rows([line for line in run.metrics() if "epoch" in line][-1:], as_json=False)
    print_result(record["result"])
    analyses = sorted(path.parent.name for path in run.path.glob("analyses/*/run.json"))
    click.echo(f"analyses: {', '.join(analyses) or 'none'}")
