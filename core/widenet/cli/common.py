"""From option classes to click options, and from their layers to checked values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from widenet.components import Component, Dataset, Model, Settings
from widenet.errors import UsageError
from widenet.options import Option, build, nearest, options, plain, read_toml, resolve
from widenet.plugins import Registry
from widenet.runs.folders import find


class Sectioned(click.Option):
    """An option that knows the heading it stands under in ``--help``."""

    def __init__(self, *args: Any, section: str = "Command", **kwargs: Any) -> None:
        self.section = section
        super().__init__(*args, **kwargs)


class Command(click.Command):
    """A command whose help lists its options by section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one definition list a section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if (record := param.get_help_record(ctx)) is not None:
                sections.setdefault(getattr(param, "section", "Command"), []).append(record)
        for section, records in sections.items():
            with formatter.section(f"{section} options"):
                formatter.write_dl(records)


def click_options(config: type, sections: Callable[[str], str]) -> list[click.Option]:
    """One click option a field; values stay text, so that every layer is converted by the same rules."""
    return [made for option in options(config) for made in _click_option(option, sections(option.name))]


def _click_option(option: Option, section: str) -> Iterable[click.Option]:
    default = "required" if option.required else f"default: {_shown(option.default)}"
    text = f"{option.help}  [{default}]"
    if option.type is bool and not option.many:
        flags = f"{option.flag}/--no-{option.flag[2:]}"
        yield Sectioned([flags, option.name], default=None, help=text, section=section)
    else:
        complete = _completer(option.name)
        yield Sectioned([option.flag, option.name], metavar=option.metavar, help=text, section=section, shell_complete=complete)
    for other in option.also:
        flag = "--" + other.replace("_", "-")
        yield Sectioned([flag, other], metavar=option.metavar, help=f"Another way to give {option.flag}.", section=section)


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    if default is None or default == ():
        return "none"
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _completer(name: str) -> Any:
    """Shell completion of component names for ``--arch`` and ``--dataset``."""
    kind = {"arch": Model, "dataset": Dataset}.get(name)
    if kind is None:
        return None

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        registry = ctx.find_object(Registry)
        known = registry.components(kind) if registry else []
        return [shown for c in known if (shown := registry.shown(c)).startswith(incomplete)]  # type: ignore[union-attr]

    return complete


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Shell completion of run names."""
    root = Path(ctx.params.get("runs_dir") or "runs")
    names = [f"{path.parent.parent.name}/{path.parent.name}" for path in root.glob("*/seed-*/run.json")]
    return sorted(name for name in names if name.startswith(incomplete))


def layered(
    component: Component, given: Mapping[str, Any], preset: str | None, config: str | None
) -> tuple[Any, Settings, dict[str, str]]:
    """Options of the component and settings, from the layers preset, TOML file and command line, weakest first.

    Returns both instances and, for every option that a layer set, the layer that set it last.

    Raises:
        UsageError: unknown preset or option, a value of the wrong type or out of range.
    """
    layers: list[tuple[str, Mapping[str, Any]]] = []
    if preset is not None:
        if preset not in component.presets:
            known = ", ".join(component.presets) or "none"
            hint = nearest(preset, component.presets)
            raise UsageError(f"{component.full_name} has no preset {preset!r} (it has: {known}){hint}")
        layers.append((f"preset {preset}", component.presets[preset]))
    if config is not None:
        layers.append((str(config), read_toml(Path(config))))
    layers.append(("command line", {key: value for key, value in given.items() if value is not None}))
    shared = {option.name for option in options(Settings)}
    own: dict[str, Any] = {}
    common: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for where, values in layers:
        settings = {key: value for key, value in values.items() if key.replace("-", "_") in shared}
        mine = resolve(component.config, {k: v for k, v in values.items() if k not in settings}, where)
        theirs = resolve(Settings, settings, where)
        own |= mine
        common |= theirs
        sources |= dict.fromkeys([*mine, *theirs], where)
    where = f"{component.kind} {component.name}"
    return build(component.config, own, where), build(Settings, common, where), sources


def settings_options(names: Iterable[str]) -> list[click.Option]:
    """The click options of some of the settings."""
    wanted = set(names)
    made = click_options(Settings, lambda _: "Common")
    return [option for option in made if option.name in wanted]


def run_path(text: str, settings: Settings) -> Path:
    """The folder of the run a user means."""
    return find(text, settings.runs_dir)


def described(component: Component) -> list[dict[str, Any]]:
    """A component's options as rows for a table."""
    return [
        {
            "option": option.name,
            "values": option.metavar,
            "default": "required" if option.required else plain(option.default),
            "help": option.help,
        }
        for option in options(component.config)
    ]
