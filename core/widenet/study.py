"""What a recipe's runs show: its table, its figure with the paper's numbers in it, and each claim held against them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from widenet.recipes import Claim, Panel, Recipe, Row, fits
from widenet.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CONFIDENCE = 0.95
TICKS = 7
"""Values of x up to which each gets a tick of its own."""


@attrs.frozen
class Trial:
    """A finished run of a recipe: where it stands in the grid, and the rows of its analyses by name."""

    values: Mapping[str, Any]
    """Its ``label``, the values of its grid and those of the runs it came after, and its ``seed``."""
    run: Run
    tables: Mapping[str, Sequence[Row]] = attrs.field(factory=dict)

    @property
    def result(self) -> Mapping[str, Any]:
        """What the method measured, as ``test_accuracy``."""
        found: Mapping[str, Any] = self.run.record["result"]
        return found


@attrs.frozen
class Study:
    """All runs of a recipe at one scale, and the rows of comparisons, by name."""

    trials: Sequence[Trial]
    across: Mapping[str, Sequence[Row]] = attrs.field(factory=dict)

    def results(self, *names: str) -> Iterator[dict[str, Any]]:
        """A row a run: its values, and what its method measured (of ``names`` only, where given)."""
        for trial in self.trials:
            found = {name: trial.result.get(name) for name in names} if names else trial.result
            yield {**trial.values, **found}

    def rows(self, analysis: str) -> Iterator[dict[str, Any]]:
        """The rows of an analysis of all runs, each with the values of its run."""
        for trial in self.trials:
            for row in trial.tables.get(analysis, ()):
                yield {**row, **trial.values}


@attrs.frozen
class Verdict:
    """A claim and what our runs say to it."""

    claim: Claim
    ours: tuple[float, ...]
    """One number a seed."""
    mean: float | None
    spread: float | None
    """Standard deviation over seeds; None of a single one."""
    interval: tuple[float, float] | None
    """95 % confidence of the mean, by Student's t."""
    holds: str
    """``yes``; ``no``; ``undecided``, where the interval reaches beyond the bound; ``nothing to judge``."""

    def row(self) -> dict[str, Any]:
        """As ``claims.json`` keeps it."""
        about = {"claim": self.claim.text, "source": self.claim.source, "paper": self.claim.paper, "unit": self.claim.unit}
        bound = {name: limit for name in ("above", "below") if math.isfinite(limit := getattr(self.claim, name))}
        return {**about, **bound, **attrs.asdict(self, filter=lambda field, _: field.name != "claim")}


def judged(claim: Claim, rows: Sequence[Row]) -> Verdict:
    """Hold the claim against the table.

    With two seeds or more the direction is decided where the confidence interval of the mean lies on one side of the bound;
    with one seed the number alone decides, and the verdict says so by having no interval.
    """
    ours = tuple(float(number) for number in claim.measure(rows) if number is not None and math.isfinite(number))
    if not ours:
        return Verdict(claim, (), None, None, None, "nothing to judge")
    mean = sum(ours) / len(ours)
    if len(ours) == 1:
        return Verdict(claim, ours, mean, None, None, "yes" if claim.above < mean < claim.below else "no")
    import statistics

    from scipy import stats

    spread = statistics.stdev(ours)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(ours) - 1)) * spread / math.sqrt(len(ours))
    low, high = mean - half, mean + half
    if claim.above < low and high < claim.below:
        holds = "yes"
    elif high <= claim.above or low >= claim.below:
        holds = "no"
    else:
        holds = "undecided"
    return Verdict(claim, ours, mean, spread, (low, high), holds)


def drawn(recipe: Recipe, rows: Sequence[Row]) -> Figure:
    """The recipe's panels side by side, two in a row; hollow markers and thin lines are the paper's values."""
    from widenet.figures import new, style

    columns = min(2, len(recipe.panels)) or 1
    figure, panels = new(columns, math.ceil(len(recipe.panels) / columns) or 1)
    with style():
        for axes, panel in zip(panels, recipe.panels, strict=False):
            _panel(axes, panel, [row for row in rows if fits(row, panel.where)])
        for axes in panels[len(recipe.panels) :]:
            axes.remove()
        _legends(panels[: len(recipe.panels)], [bool(panel.paper) for panel in recipe.panels])
    return figure


def _legends(panels: Sequence[Axes], paper: Sequence[bool]) -> None:
    """One legend below the figure where all panels have the same lines, else one in each; ``paper``: which have its values."""
    from widenet.figures import legend

    lines = [axes.get_legend_handles_labels()[1] for axes in panels]
    same = all(found == lines[0] for found in lines)
    for number, axes in enumerate(panels[:1] if same else panels):
        if any(paper) if same else paper[number]:
            axes.plot([], [], "o:", color="0.4", markerfacecolor="none", linewidth=0.8, label="paper")
        if same:
            legend(axes)
        elif axes.get_legend_handles_labels()[1]:
            axes.legend(loc="best")


def _panel(axes: Axes, panel: Panel, rows: Sequence[Row]) -> None:
    from widenet.figures import band

    scale = 100.0 if panel.percent else 1.0
    shown = [row for row in rows if row.get(panel.x) is not None and row.get(panel.y) is not None]
    everywhere = [row[panel.x] for row in shown] + [x for points in panel.paper.values() for x in points]
    place, ticks = _places(everywhere)
    for line in dict.fromkeys(str(row.get(panel.by, "")) for row in shown):
        at: dict[float, list[float]] = {}
        for row in shown:
            if str(row.get(panel.by, "")) == line:
                at.setdefault(place(row[panel.x]), []).append(scale * float(row[panel.y]))
        xs = sorted(at)
        drawn = band(axes, xs, [at[x] for x in xs], label=line)
        _paper(axes, panel.paper.get(line, {}), place, scale, drawn.get_color())
    for line, points in panel.paper.items():
        if all(str(row.get(panel.by, "")) != line for row in shown):
            _paper(axes, points, place, scale, "0.4", line)
    if ticks:
        axes.set_xticks(range(len(ticks)), ticks)
    elif panel.log_x:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
    elif few := _apart([place(x) for x in everywhere]):
        axes.set_xticks(few, [f"{x:.2g}" if x < 100 else f"{x:g}" for x in few])
    if panel.log_y and shown and all(float(row[panel.y]).is_integer() for row in shown):
        axes.set_yscale("log", base=2)  # counts
        axes.yaxis.set_major_formatter("{x:g}")
    elif panel.log_y:
        axes.set_yscale("log")
    axes.set(xlabel=panel.x_label or panel.x, ylabel=_with_unit(panel), title=panel.title)


def _paper(axes: Axes, points: Mapping[Any, float], place: Any, scale: float, colour: Any, name: str = "") -> None:
    """Draw the paper's values; a ``name`` stands beside a line that has none of ours for its colour to tell."""
    if not points:
        return
    xs, ys = zip(*sorted((place(x), scale * y) for x, y in points.items()), strict=True)
    axes.plot(xs, ys, "o:", color=colour, markerfacecolor="none", linewidth=0.8)
    middle = len(xs) // 2
    axes.annotate(name, (xs[middle], ys[middle]), (4, 3), textcoords="offset points", fontsize=6, color=colour)


def _places(values: Sequence[Any]) -> tuple[Any, list[str]]:
    """Where each value of x stands, and the ticks' names where the values are no numbers."""
    try:
        {float(value) for value in values}
    except (TypeError, ValueError):
        names = list(dict.fromkeys(map(str, values)))
        return lambda value: float(names.index(str(value))), names
    return float, []


def _apart(values: Sequence[float]) -> list[float]:
    """The values, each once, where they are few and far enough apart for a tick each; else none."""
    found = sorted(set(values))
    gaps = [second - first for first, second in itertools.pairwise(found)]
    return found if len(found) <= TICKS and all(gap >= sum(gaps) / 12 for gap in gaps) else []


def _with_unit(panel: Panel) -> str:
    label = panel.y_label or panel.y.replace("_", " ")
    return f"{label}, %" if panel.percent else label
