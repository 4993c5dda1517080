"""The layers of options below the command line: presets, and files of TOML or of a kind that the component reads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from widenet.components import Component
from widenet.errors import UsageError, WnError
from widenet.options import nearest, read_toml

MANY = 8
"""Presets that a line can name; of more it says how many there are."""


def presets_help(component: Component) -> str:
    """What ``--help`` says of a component's presets."""
    if len(component.presets) > MANY:
        return f"A named set of options, one of {len(component.presets)}; `wn show {component.name}` lists them."
    return f"A named set of options: {', '.join(component.presets) or 'none here'}."


def preset(component: Component, name: str) -> Mapping[str, Any]:
    """The options of one of the component's presets.

    Raises:
        UsageError: it has none of that name.
    """
    if name in component.presets:
        return component.presets[name]
    known = f"it has: {', '.join(component.presets) or 'none'}"
    if len(component.presets) > MANY:
        known = f"`wn show {component.name}` lists its {len(component.presets)}"
    raise UsageError(f"{component.full_name} has no preset {name!r} ({known}){nearest(name, component.presets)}")


def config_help(component: Component) -> str:
    """What ``--help`` says of the files that the component reads."""
    others = f"; also {', '.join(component.readers)}" if component.readers else ""
    return f"Options from a file, as lines like epochs = 5{others}."


def from_file(component: Component, path: Path, quiet: bool = False) -> Mapping[str, Any]:
    """The options in a file, by the component's reader for its suffix or else as TOML; says what the reader remarks.

    Raises:
        UsageError: the file cannot be read or understood; the message names it.
        WnError: the reader failed otherwise.
    """
    reader = component.readers.get(path.suffix.lower())
    if reader is None:
        return read_toml(path)
    try:
        found, remarks = reader(path.read_bytes().decode())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text ({error})") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except Exception as error:
        if isinstance(error, WnError) or os.environ.get("WN_STRICT"):
            raise
        from widenet.opening import failure

        raise failure(component, error, f"it was reading {path}, WN_STRICT=1 shows where") from error
    if not quiet:
        for remark in remarks:
            click.echo(remark, err=True)
    return found
