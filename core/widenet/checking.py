"""What a plugin must be: its hooks and components are looked at once, when it is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pluggy

from widenet.components import FLAGS, NAME, Component, Settings
from widenet.options import build, options, resolve
from widenet.plugins import Hooks
from widenet.recipes import SCALES, Recipe, chain

CHOICES = ("arch", "dataset")
"""What a preset may choose beside the method's own options."""


def implemented(manager: pluggy.PluginManager, module: Any) -> dict[str, Callable[..., Any]]:
    """What a module implements, by hook; refuses what this version does not call, or calls with other arguments."""
    found = {name: getattr(module, name) for name in dir(module) if manager.parse_hookimpl_opts(module, name) is not None}
    if not found:
        raise TypeError("it implements no hook; mark its functions with @hookimpl")
    known = {name: spec for name, spec in vars(Hooks).items() if not name.startswith("_")}
    for name, function in found.items():
        if name not in known:
            raise TypeError(f"unknown hook {name!r}, was it written for another version? hooks are {', '.join(known)}")
        if extra := inspect.signature(function).parameters.keys() - inspect.signature(known[name]).parameters.keys():
            raise TypeError(f"hook {name} is called without {', '.join(sorted(extra))}; was it written for another version?")
    return found


def check(component: Component) -> None:
    """Refuse a component that could not work: its name, signature, options or presets."""
    what = f"{component.kind} {component.name!r}"
    if not NAME.fullmatch(component.name):
        raise ValueError(f"{what}: names are lower-case letters and digits joined by - or _")
    try:
        inspect.signature(component.function).bind(*component.arguments)
    except TypeError:
        raise TypeError(f"{what}: its function must take ({', '.join(component.arguments)})") from None
    if component.kind in ("method", "analysis"):
        taken = {option.name for option in options(Settings)} | set(FLAGS)
        for option in options(component.config):
            if taken & {option.name, *option.also}:
                raise ValueError(f"{what}: every command has an option {option.name!r} of its own; rename it")
    if isinstance(component, Recipe):
        check_recipe(component)
    for preset, values in {"": {}, **component.presets}.items():
        check_preset(component, preset, values)
    for suffix in component.readers:
        if suffix in ("", ".toml") or suffix != f".{suffix.strip('.').lower()}":
            raise ValueError(f"{what}: a reader's suffix is like '.yml', lower case, and not '.toml'; {suffix!r} is not")


def check_recipe(recipe: Recipe) -> None:
    """Refuse a recipe that lacks a scale, or whose stages could not be carried out."""
    what = f"recipe {recipe.name!r}"
    if tuple(recipe.scales) != SCALES:
        raise ValueError(f"{what}: its scales are {', '.join(SCALES)}, in this order")
    for scale, stages in recipe.scales.items():
        ordered = chain(stages)
        if not ordered:
            raise ValueError(f"{what}, scale {scale}: it has no stages")
        for stage in ordered:
            if empty := [key for key, values in stage.grid.items() if not values]:
                raise ValueError(f"{what}, scale {scale}: {empty[0]} has no values, so nothing would run")
            if stage.after is not None and {"seed", "arch", "dataset"} & {*stage.options, *stage.grid}:
                raise ValueError(f"{what}, scale {scale}: {stage.name} has network, data and seed from the runs before it")


def check_preset(component: Component, preset: str, values: Any) -> None:
    """Refuse options that the component does not take; an empty name stands for its defaults."""
    where = f"{component.kind} {component.name!r}, {f'preset {preset!r}' if preset else 'defaults'}"
    if not isinstance(values, Mapping):
        raise TypeError(f"{where}: {values!r} are no options by name")
    own = resolve(component.config, {k: v for k, v in values.items() if k not in CHOICES}, where)
    if {option.name for option in options(component.config) if option.required} <= own.keys():
        build(component.config, own, where)
