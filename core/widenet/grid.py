"""A grid of options: read from words or a file, taken apart into cells, each of which is one run."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from widenet.components import Component, Dataset, Model, Settings
from widenet.errors import UsageError
from widenet.options import nearest, options, split_spec, text
from widenet.plugins import Registry

Grid = dict[str, list[Any]]
"""Values of each option that varies."""
PARTS: dict[str, type[Component]] = {"arch": Model, "dataset": Dataset}
"""Options whose value is a component with options of its own."""
LAYERS = ("preset", "config", "from")
"""Of the command's own options those that may vary."""
RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.(\d+))?")
KEY = re.compile(r"[A-Za-z_][\w.-]*=")


def parse(texts: Iterable[str]) -> Grid:
    """``["width=0.5,1", "seed=0..4"]`` -> ``{"width": ["0.5", "1"], "seed": ["0", ..., "4"]}``; ``0..8..2`` counts by 2.

    In ``arch=conv2,conv4:width=0.5,bias=true`` a piece like ``bias=true`` belongs to the value before it. A value with commas
    of its own (``hidden=300,100``) needs a file.

    Raises:
        UsageError: a text without ``=``, a key twice, a key without values, or one of its values twice.
    """
    grid: Grid = {}
    for given in texts:
        key, sign, rest = given.partition("=")
        if not sign or not key.strip():
            raise UsageError(f"--grid {given}: write KEY=VALUE,VALUE, as in --grid width=0.5,1 --grid seed=0..4")
        _add(grid, key.strip(), _values(rest), f"--grid {given}")
    return grid


def _values(rest: str) -> list[str]:
    """The values between commas, ranges counted out."""
    found: list[str] = []
    for piece in (piece.strip() for piece in rest.split(",")):
        if found and KEY.match(piece):
            found[-1] += f",{piece}"
        elif match := RANGE.fullmatch(piece):
            first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
            found += [str(number) for number in range(first, last + 1, step or 1)]
        elif piece:
            found.append(piece)
    return found


def _add(grid: Grid, key: str, values: Any, where: str) -> None:
    name = key.replace("-", "_")
    if name in grid:
        raise UsageError(f"{where}: {key} is in the grid already; give all of its values at once")
    if not isinstance(values, list) or not values:
        raise UsageError(f"{where}: {key} has no values, so the grid is empty; write {key}=VALUE,VALUE")
    shown = [text(value) for value in values]
    if twice := next((value for value in shown if shown.count(value) > 1), None):
        raise UsageError(f"{where}: {key} has the value {twice} twice")
    grid[name] = values


def read(path: Path) -> tuple[dict[str, Any], Grid]:
    """The options and the grid in a TOML file: plain lines such as ``epochs = 5``, and a table ``[grid]`` of lists.

    Raises:
        UsageError: the file cannot be read, is no TOML, or holds something else.
    """
    try:
        content = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(f"{path} is no valid TOML: {error}") from None
    found, grid = content.pop("grid", {}), Grid()
    if not isinstance(found, dict) or (odd := [key for key, value in content.items() if isinstance(value, dict)]):
        what = "grid is no table" if not isinstance(found, dict) else f"[{odd[0]}] is unknown"
        raise UsageError(f"{path}: {what}; write lines such as epochs = 5, then [grid] and lines such as width = [0.5, 1]")
    for key, values in found.items():
        counted = [part for value in values for part in _counted(value)] if isinstance(values, list) else _counted(values)
        _add(grid, key, counted, str(path))
    return {key.replace("-", "_"): value for key, value in content.items()}, grid


def _counted(value: Any) -> list[Any]:
    """A value of a file, or those of a range in quotes."""
    return _values(value) if isinstance(value, str) and RANGE.fullmatch(value) else [value]


def cells(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the grid's values, the last key varying fastest; one empty cell of an empty grid."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def placed(registry: Registry, method: Component, given: Mapping[str, Any], cell: Mapping[str, Any]) -> dict[str, Any]:
    """The options ``given`` to ``wn run METHOD`` with those of a cell among them.

    A key is an option of the method or of the command where there is one of that name; else one of the network or of the
    data set, which become part of ``arch`` and ``dataset``; ``arch.KEY`` and ``dataset.KEY`` always mean those.

    Raises:
        UsageError: an unknown key (with the nearest), one that network and data set both have, or one that is given already.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    inner: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
    taken = {name for option in (*options(method.config), *options(Settings)) for name in (option.name, *option.also)}
    for key, value in cell.items():
        if key.partition(".")[0] in PARTS and "." in key:
            part, _, name = key.partition(".")
            inner[part][name] = value
        elif key in taken or key in LAYERS:
            if key in given and given[key] is not None:
                raise UsageError(f"{key} is given as an option and varies in the grid; leave one of them out")
            chosen[key] = value
        else:
            inner["?"] = inner.get("?", {}) | {key: value}
    homeless = inner.pop("?", {})
    kinds = {part: _options(registry, part, chosen) for part in PARTS if homeless}
    for key, value in homeless.items():
        homes = [part for part, names in kinds.items() if key in names]
        if len(homes) > 1:
            raise UsageError(f"{key} is an option of network and of data set; write arch.{key} or dataset.{key}")
        if not homes:
            known = [*taken, *LAYERS, *(name for names in kinds.values() for name in names)]
            raise UsageError(f"{key} is no option of {method.name}, its network or its data{nearest(key, known)}")
        inner[homes[0]][key] = value
    for part, values in inner.items():
        if values:
            chosen[part] = _extended(_spec(part, chosen), values)
    return chosen


def _spec(part: str, chosen: Mapping[str, Any]) -> str:
    default = next(option.default for option in options(Settings) if option.name == part)
    return str(chosen.get(part, default))


def _options(registry: Registry, part: str, chosen: Mapping[str, Any]) -> set[str]:
    """Names of the options of the network or data set that is chosen."""
    component = registry.find(PARTS[part], split_spec(_spec(part, chosen))[0])
    return {option.name for option in options(component.config)}


def _extended(spec: str, values: Mapping[str, Any]) -> str:
    """``conv4:bias=true`` with more options.

    Raises:
        UsageError: it has one of them already.
    """
    _, there = split_spec(spec)
    if clash := next((key for key in values if key in there), None):
        raise UsageError(f"{clash} varies in the grid and is set in {spec}; leave one of them out")
    more = ",".join(f"{key}={text(value)}" for key, value in values.items())
    return f"{spec}{',' if there else ':'}{more}"
