"""What runs came to, over an option in which they differ."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import attrs

from widenet import compare, figures
from widenet.errors import UsageError
from widenet.legends import SHORT, groups, listed, setting, title, worded
from widenet.options import nearest, pair
from widenet.runs import Run
from widenet.series import PLACES, is_number, mean_and_deviation, points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def final(run: Run) -> dict[str, float]:
    """Every number that a run came to: its result, and its last metrics, so that one that has not finished has some.

    Metrics are there under both names, ``test/accuracy`` and, unless the result has it, ``test_accuracy``.
    """
    last = {name: value for point in points(run) for name, value in point.values.items()}
    named = {name.replace("/", "_"): value for name, value in last.items()}
    found = {**run.record["result"], **named, **last, **run.record["result"]}  # results first, where they are listed
    return {name: value for name, value in found.items() if is_number(value)}


@attrs.frozen
class Placed:
    """A run with its place on both axes; ``x`` is as its options have it."""

    run: Run
    x: Any
    y: float


def placed(runs: Sequence[Run], x: str, y: str) -> list[Placed]:
    """The runs that have both, the setting ``x`` and the number ``y``.

    Raises:
        UsageError: none of them has; the line names what there is.
    """
    name = setting(runs, x)
    values, found = [compare.settings(run) for run in runs], [final(run) for run in runs]
    if not any(y in each for each in found):
        known = [key for each in found for key in each if "/" not in key and key not in PLACES]
        raise UsageError(f"no run has a result {y!r}{nearest(y, known)}; there are {listed(known) or 'none'}")
    every = zip(runs, values, found, strict=True)
    there = [Placed(run, each[name], out[y]) for run, each, out in every if each.get(name) is not None and y in out]
    if not there:
        raise UsageError(f"no run has both an option {x!r} and a result {y!r}")
    return there


def outcome_curves(runs: Sequence[Run], x: str, y: str = "test_accuracy", by: str = "") -> Figure:
    """A result over a setting: a line of means in a band of one standard deviation of the sample for all runs alike but for it.

    The axis of numbers that double is logarithmic; settings that are no numbers are categories, means with uprights. Runs that
    lack one of the two are left out.

    Args:
        runs: at least one.
        x: a setting as ``arch.width``, ``width`` or ``lr``.
        y: a result, or a metric, of which the last is taken.
        by: a setting whose value alone says which runs are one line.

    Raises:
        UsageError: no run has ``x``, ``y`` or ``by``.
    """
    there = {each.run.path: each for each in placed(runs, x, y)}
    drawn, name = [each.run for each in there.values()], setting(runs, x)
    scale = Scale.of([each.x for each in there.values()])
    figure, (axes,) = figures.new()
    lines = groups(drawn, by, without=name)
    several = False
    with figures.style():
        for number, group in enumerate(lines):
            ys: dict[float, list[float]] = {}
            for run in group.runs:
                ys.setdefault(scale.place(there[run.path].x) + scale.shift(number, len(lines)), []).append(there[run.path].y)
            several = several or any(len(values) > 1 for values in ys.values())
            label = textwrap.fill(group.label, SHORT) if len(lines) > 1 else ""
            _line(axes, dict(sorted(ys.items())), label, figures.look(number), joined=scale.numbers)
        axes.set(xlabel=worded(name), ylabel=worded(y))
        scale.set(axes)
        marks = "line and band" if scale.numbers else "marker and upright"
        said = f"{marks}: mean and standard deviation" if several else ""
        figure.suptitle("\n".join(filter(None, (textwrap.fill(title(drawn), 60), said if len(lines) == 1 else ""))), fontsize=8)
        figures.legend(axes, said)
    return figure


@attrs.frozen
class Scale:
    """Where values of a setting stand: numbers at themselves, others side by side."""

    values: Sequence[Any]
    numbers: bool

    @classmethod
    def of(cls, values: Sequence[Any]) -> Scale:
        """The scale of these values: numbers ascending, others in the order in which they come."""
        numbers = all(is_number(value) for value in values)
        return cls(sorted(set(values)) if numbers else list(dict.fromkeys(map(_word, values))), numbers)

    @property
    def doubling(self) -> bool:
        """Whether each number is the one before it times a power of two."""
        if not self.numbers or len(self.values) < 3 or self.values[0] <= 0:
            return False
        return all(math.log2(later / earlier).is_integer() for earlier, later in pairwise(self.values))

    def place(self, value: Any) -> float:
        """The value's place on the axis."""
        return value if self.numbers else self.values.index(_word(value))

    def shift(self, number: int, count: int) -> float:
        """How far the places of one line of several lie beside the value's own, where they are not joined."""
        return 0.0 if self.numbers else 0.5 * ((number + 0.5) / count - 0.5)

    def set(self, axes: Axes) -> None:
        """Give an axis its ticks."""
        if self.doubling:
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        elif not self.numbers:
            figures.named(axes, self.values, "values")


def _line(axes: Axes, ys: Mapping[float, Sequence[float]], label: str, look: Mapping[str, Any], joined: bool) -> None:
    """A line in its band, or markers with uprights, which a single place has too."""
    x, joined = list(ys), joined and len(ys) > 1
    means, deviations = (list(column) for column in zip(*map(mean_and_deviation, ys.values()), strict=True))
    axes.plot(x, means, label=label, linestyle="-" if joined else "none", **look)
    if joined:
        ends = zip(means, deviations, strict=True)
        low, high = zip(*((mean - width, mean + width) for mean, width in ends), strict=True)
        axes.fill_between(x, low, high, color=look["color"], alpha=0.2, linewidth=0)
    else:
        figures.uprights(axes, x, means, deviations, look["color"])


def _word(value: Any) -> str:
    """A value that is no number as an axis shows it."""
    return pair("", value)[1:].rpartition("/")[2]
