"""What a recipe is: a paper's claims as runs and analyses, the table they give, figures, and numbers to hold it against.

Declarations only; :mod:`widenet.study` draws and judges. Nothing heavy is imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import attrs

from widenet.components import Component

Row = Mapping[str, Any]
Measure = Callable[[Sequence[Row]], Sequence[float]]
"""From a recipe's table to one number a seed (or one number in all)."""
SCALES = ("smoke", "small", "paper")
"""Under a minute on embedded data; an evening on two cores; the full setting."""


@attrs.frozen(eq=False)
class Stage:
    """Runs of one method: every combination of ``grid`` with ``options`` common to all, and what analyses each gets.

    Options are those of ``wn run METHOD`` by name (``arch``, ``dataset``, ``preset``, ``epochs``, ...); keys of ``grid`` may
    also be options of the network or the data, as ``width`` or ``arch.width``.
    """

    method: str
    options: Mapping[str, Any] = attrs.field(factory=dict)
    grid: Mapping[str, Sequence[Any]] = attrs.field(factory=dict)
    analyses: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    """Options of each analysis by its name; a comparison is given all runs of the stage, in the order of the grid."""
    label: str = ""
    """What tells its runs from those of other stages in the table; the method's name if empty."""
    after: Stage | None = None
    """Its runs begin from the networks of that stage, one each, with that run's data, seed and values of the grid."""

    @property
    def name(self) -> str:
        """The label, or the method's name."""
        return self.label or self.method


@attrs.frozen
class Panel:
    """One panel of the figure: ``y`` against ``x``, mean over seeds in a band of one deviation, a line for each ``by``.

    ``paper`` gives values read from the paper, by line: ``{"supermask": {2: 0.66, 4: 0.77}}``.
    """

    x: str
    y: str
    by: str = "label"
    where: Mapping[str, Any] = attrs.field(factory=dict)
    """Rows of the table that it shows, by values of columns."""
    x_label: str = ""
    y_label: str = ""
    title: str = ""
    log_x: bool = False
    log_y: bool = False
    percent: bool = False
    """``y`` is a fraction and shown in per cent."""
    paper: Mapping[str, Mapping[Any, float]] = attrs.field(factory=dict)


@attrs.frozen
class Claim:
    """One thing that the paper says, as a number with a direction: it should lie ``above`` or ``below`` a bound."""

    text: str
    measure: Measure
    source: str
    """Where the paper says so, as ``figure 3``."""
    paper: float | str | None = None
    """The same number in the paper, where it is known, or words for what it shows."""
    above: float = -math.inf
    below: float = math.inf
    unit: str = ""
    """``%`` for fractions and differences of fractions, else a word that follows the number."""

    def __attrs_post_init__(self) -> None:
        if self.above == -math.inf and self.below == math.inf:
            raise ValueError(f"claim {self.text!r} has no direction; give above or below")


@attrs.frozen
class Recipe(Component):
    """``function(study) -> rows``: turns the runs of a scale into the table that panels and claims read.

    ``study`` is a :class:`widenet.study.Study`; its rows should have a column ``seed``. The docstring's first line says
    what is shown.
    """

    scales: Mapping[str, Sequence[Stage]] = attrs.field(factory=dict)
    panels: Sequence[Panel] = ()
    claims: Sequence[Claim] = ()
    source: str = ""
    """The paper."""

    kind: ClassVar[str] = "recipe"
    arguments: ClassVar[tuple[str, ...]] = ("study",)


def chain(stages: Iterable[Stage]) -> list[Stage]:
    """The stages and those that they come after, each once, in an order that can be carried out."""
    ordered: list[Stage] = []
    for stage in stages:
        for needed in (*(chain([stage.after]) if stage.after else ()), stage):
            if all(needed is not other for other in ordered):
                ordered.append(needed)
    return ordered


def size(stage: Stage) -> int:
    """How many runs it has."""
    return math.prod(len(values) for values in stage.grid.values()) * (size(stage.after) if stage.after else 1)


def outline(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """A row a stage: its method, what it comes after, its grid and how many runs it has."""
    rows: list[dict[str, Any]] = []
    for stage in stages:
        grid = "  ".join(f"{key}={','.join(map(str, values))}" for key, values in stage.grid.items())
        about = {"stage": stage.name, "method": stage.method, "after": stage.after.name if stage.after else ""}
        rows.append({**about, "grid": grid, "analyses": list(stage.analyses), "runs": size(stage)})
    return rows


# -- measures ----------------------------------------------------------------------------------------------------------


def fits(row: Row, where: Mapping[str, Any]) -> bool:
    """Whether the row has these values; numbers are compared as numbers (``"0.5"`` is 0.5), a tuple means any of its values."""
    return all(_same(row.get(key), value) for key, value in where.items())


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, tuple):
        return any(_same(found, value) for value in wanted)
    try:
        return float(found) == float(wanted)
    except (TypeError, ValueError):
        return str(found) == str(wanted)


def by_seed(rows: Sequence[Row], y: str, where: Mapping[str, Any]) -> dict[Any, float]:
    """The mean of ``y`` over the rows of each seed that have these values."""
    values: dict[Any, list[float]] = {}
    for row in rows:
        if fits(row, where) and row.get(y) is not None:
            values.setdefault(row.get("seed"), []).append(float(row[y]))
    return {seed: sum(found) / len(found) for seed, found in values.items()}


def value(y: str, **where: Any) -> Measure:
    """``y`` where the table's columns have these values."""
    return lambda rows: list(by_seed(rows, y, where).values())


def difference(y: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> Measure:
    """``y`` of ``one`` less that of ``other``, seed by seed."""
    return _paired(y, one, other, lambda a, b: a - b)


def ratio(y: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> Measure:
    """``y`` of ``one`` over that of ``other``, seed by seed; seeds where that is 0 are left out."""
    return _paired(y, one, other, lambda a, b: a / b if b else None)


def _paired(y: str, one: Mapping[str, Any], other: Mapping[str, Any], how: Callable[[float, float], float | None]) -> Measure:
    def measure(rows: Sequence[Row]) -> list[float]:
        first, second = by_seed(rows, y, one), by_seed(rows, y, other)
        found = [how(first[seed], second[seed]) for seed in first if seed in second]
        return [number for number in found if number is not None]

    return measure


def slope(x: str, y: str, *, log: bool = False, **where: Any) -> Measure:
    """Slope of the least-squares line of ``y`` over ``x``, seed by seed; of their base-2 logarithms where ``log``.

    Points that have no logarithm are left out, and seeds with fewer than two points.
    """

    def measure(rows: Sequence[Row]) -> list[float]:
        points: dict[Any, list[tuple[float, float]]] = {}
        for row in rows:
            if fits(row, where) and row.get(x) is not None and row.get(y) is not None:
                a, b = float(row[x]), float(row[y])
                if not log or (a > 0 and b > 0):
                    points.setdefault(row.get("seed"), []).append((math.log2(a), math.log2(b)) if log else (a, b))
        return [found for pairs in points.values() if (found := _slope(pairs)) is not None]

    return measure


def at_largest(x: str, y: str, **where: Any) -> Measure:
    """``y`` at the largest ``x``, seed by seed."""

    def measure(rows: Sequence[Row]) -> list[float]:
        xs = [float(row[x]) for row in rows if fits(row, where) and row.get(x) is not None]
        return list(value(y, **{**where, x: max(xs)})(rows)) if xs else []

    return measure


def extremes(x: str, y: str, **where: Any) -> Measure:
    """``y`` at the largest ``x`` less ``y`` at the smallest, seed by seed."""

    def measure(rows: Sequence[Row]) -> list[float]:
        xs = sorted({float(row[x]) for row in rows if fits(row, where) and row.get(x) is not None})
        return list(difference(y, {**where, x: xs[-1]}, {**where, x: xs[0]})(rows)) if len(xs) > 1 else []

    return measure


def _slope(pairs: Sequence[tuple[float, float]]) -> float | None:
    if len({x for x, _ in pairs}) < 2:
        return None
    from statistics import linear_regression

    return linear_regression(*zip(*pairs, strict=True)).slope
