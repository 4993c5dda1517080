"""From option classes to click options, and from their layers to checked values."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from widenet.cli import sources
from widenet.cli.completion import choices, completer, path
from widenet.components import Component, Settings, Train
from widenet.options import COMMAND_LINE, Option, build, options, plain, resolve

WIDE = 30
"""Characters from which a list of choices stands in the help text rather than beside the option."""


class Sectioned(click.Option):
    """An option that knows the heading it stands under in ``--help``."""

    def __init__(self, *args: Any, section: str = "Command", **kwargs: Any) -> None:
        self.section = section
        super().__init__(*args, **kwargs)


class Command(click.Command):
    """A command whose help lists its options by section."""

    def get_short_help_str(self, limit: int = 0) -> str:
        """Its line in the list of commands, never cut off."""
        return first_line(self.help)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one definition list a section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)) is not None:
                sections.setdefault(getattr(param, "section", "Command"), []).append(record)
        for section, records in sections.items():
            with formatter.section(f"{section} options" if len(sections) > 1 else "Options"):
                formatter.write_dl(records)


class Group(click.Group):
    """A group of commands; without one it prints its help."""

    def get_short_help_str(self, limit: int = 0) -> str:
        """Its line in the list of commands, never cut off."""
        return first_line(self.help)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Print the help and stop where nothing is asked for."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)


def first_line(text: str | None) -> str:
    """The first line of a help text."""
    return (text or "").strip().split("\n")[0]


def help_text(function: Callable[..., Any]) -> str:
    """A docstring as help: no indentation, no sections for programmers, no marks of reStructuredText."""
    text = re.split(r"\n(?:Args|Returns|Yields|Raises):\n", inspect.getdoc(function) or "")[0]
    return re.sub(r":\w+:`~?([^`]*)`", r"\1", text).replace("``", "").strip()


def click_options(config: type, sections: Callable[[str], str]) -> list[click.Option]:
    """One click option a field; values stay text, so that every layer is converted by the same rules."""
    return [made for option in in_order(config) for made in _click_option(option, sections(option.name))]


def in_order(config: type) -> list[Option]:
    """Options as people look for them: a component's own first, then those it shares with all training."""
    training = [option.name for option in options(Train)] if issubclass(config, Train) else []
    return sorted(options(config), key=lambda option: training.index(option.name) if option.name in training else -1)


def _click_option(option: Option, section: str) -> Iterable[click.Option]:
    default = "required" if option.required else f"default: {_shown(option.default)}"
    wide = len(option.metavar) > WIDE
    text = f"{option.help}  [{', '.join(option.choices) + '; ' if wide else ''}{default}]"
    metavar = "NAME" if wide else option.metavar
    if option.type is bool and not option.many:
        flags = f"{option.flag}/--no-{option.flag[2:]}"
        yield Sectioned([flags, option.name], default=None, help=text, section=section)
    else:
        complete = completer(option)
        yield Sectioned([option.flag, option.name], metavar=metavar, help=text, section=section, shell_complete=complete)
    for other, function in option.also.items():
        text = f"{(function.__doc__ or 'Another measure').strip().rstrip('.')}, in place of {option.flag}."
        yield Sectioned([f"--{other.replace('_', '-')}", other], metavar=metavar, help=text, section=section)


def layer_options(component: Component) -> list[click.Option]:
    """``--preset`` and ``--config``, the layers below the command line."""
    presets, config = sources.presets_help(component), sources.config_help(component)
    return [
        Sectioned(["--preset"], metavar="NAME", help=presets, shell_complete=choices(component.presets)),
        Sectioned(["--config"], metavar="FILE" if component.readers else "FILE.toml", help=config, shell_complete=path),
    ]


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    if default is None or default == ():
        return "none"
    if isinstance(default, tuple):
        return ",".join(map(_shown, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


def layered(
    component: Component,
    given: Mapping[str, Any],
    preset: str | None = None,
    config: str | None = None,
    shared: Iterable[str] | None = None,
    quiet: bool = False,
) -> tuple[Any, Settings, dict[str, str]]:
    """Options of the component and settings, from the layers preset, file and command line, weakest first.

    Returns both instances and, for every option that a layer set, the layer that set it last.

    Args:
        component: has the presets and its own options.
        given: what the command line gave; None where it gave nothing.
        preset: name of one of the component's presets.
        config: path of a file of TOML, or of a kind that the component reads.
        shared: names of the settings that the command takes; all of them if not given.
        quiet: do not say what a reader of files remarks.

    Raises:
        UsageError: unknown preset or option, a value of the wrong type or out of range.
    """
    layers: list[tuple[str, Mapping[str, Any]]] = []
    if preset is not None:
        layers.append((f"preset {preset}", sources.preset(component, preset)))
    if config is not None:
        layers.append((str(config), sources.from_file(component, Path(config), quiet)))
    layers.append((COMMAND_LINE, {key: value for key, value in given.items() if value is not None}))
    shared = {option.name for option in options(Settings)} if shared is None else set(shared)
    own: dict[str, Any] = {}
    common: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for where, values in layers:
        settings = {key: value for key, value in values.items() if key.replace("-", "_") in shared}
        mine = resolve(component.config, {k: v for k, v in values.items() if k not in settings}, where)
        theirs = resolve(Settings, settings, where)
        own |= mine
        common |= theirs
        origins |= dict.fromkeys([*mine, *theirs], where)
    where = f"{component.kind} {component.name}"
    return build(component.config, own, where), build(Settings, common, where), origins


def settings_options(names: Iterable[str]) -> list[click.Option]:
    """The click options of some of the settings."""
    wanted = set(names)
    made = click_options(Settings, lambda _: "Common")
    return [option for option in made if option.name in wanted]


def described(component: Component) -> list[dict[str, Any]]:
    """A component's options as rows for a table."""
    return [
        {
            "option": option.name,
            "values": list(option.choices) if option.choices and not option.many else option.metavar,
            "default": "required" if option.required else plain(option.default),
            "also": [*option.also],
            "help": option.help,
        }
        for option in in_order(component.config)
    ]
