"""What the shell may complete: names of components, plugins and runs, choices, files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from widenet.components import Analysis, Comparison, Component, Dataset, Model
from widenet.loading import load
from widenet.options import Option
from widenet.plugins import KINDS, Registry

Completer = Callable[[click.Context, click.Parameter, str], list[Any]]
NAMED: dict[str, type[Component]] = {"arch": Model, "dataset": Dataset, "analyze": Analysis}
"""Options whose value is the name of a component."""


def registry_of(ctx: click.Context) -> Registry:
    """All plugins, loaded once a process: by the first command that asks, or by the shell's completion."""
    root = ctx.find_root()
    if root.obj is None:
        files = [Path(file) for file in root.params.get("plugin", ())]
        root.obj = load(files, os.environ.get("WN_PLUGINS"))
    found: Registry = root.obj
    return found


def _among(known: Callable[[click.Context], Iterable[str]]) -> Completer:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        return [name for name in known(ctx) if name.startswith(incomplete)]

    return complete


def shown(registry: Registry, kind: type[Component]) -> list[str]:
    """Names of a kind, as a user types them."""
    return [registry.shown(component) for component in registry.components(kind)]


def completer(option: Option) -> Completer | None:
    """Completes a component's name, a choice, or a path."""
    if kind := NAMED.get(option.name):
        return component(kind)
    if option.type is Path:
        return path
    return choices(option.choices) if option.choices else None


def component(kind: type[Component]) -> Completer:
    """Completes names of a kind."""
    return _among(lambda ctx: shown(registry_of(ctx), kind))


def lone_analysis(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Completes names of analyses that read one run."""
    registry = registry_of(ctx)
    names = [registry.shown(found) for found in registry.components(Analysis) if not isinstance(found, Comparison)]
    return [name for name in names if name.startswith(incomplete)]


def choices(known: Iterable[str]) -> Completer:
    """Completes one of the given words."""
    return _among(lambda _: known)


def path(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Leaves it to the shell, which knows files."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def _runs(ctx: click.Context) -> list[str]:
    root = Path(ctx.params.get("runs_dir") or "runs")
    return sorted(f"{path.parent.parent.name}/{path.parent.name}" for path in root.glob("*/seed-*/run.json"))


def _everything(ctx: click.Context) -> list[str]:
    registry = registry_of(ctx)
    names = [name for kind in KINDS.values() for name in shown(registry, kind)]
    return sorted({*names, *registry.plugins}) + _runs(ctx)


run: Completer = _among(_runs)
"""Completes names of runs."""
plugin: Completer = _among(lambda ctx: registry_of(ctx).plugins)
"""Completes names of plugins."""
anything: Completer = _among(_everything)
"""Completes whatever ``wn show`` can show."""
