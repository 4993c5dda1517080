"""The figure of the comparison: any column against any, for every run and in the mean."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from widenet import figures
from widenet_weight_symmetry.across_config import Across

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

Row = dict[str, Any]
Point = tuple[float, float]
NEAR = 0.05
"""Seeds of one command are alike in x within this fraction of the width of the axis; others only where x is equal."""
WORDS = {
    "log10_permutations": "log₁₀ permutations",
    "test_accuracy": "test accuracy (fraction)",
    "sparsity": "sparsity (fraction removed)",
    "total_neurons": "neurons",
    "unique_neurons": "unique neurons",
    "zeroed_neurons": "neurons without inputs",
    "permutation_num_digits": "decimal digits of permutations",
    "permutation_log10": "log₁₀ (permutations + 1)",
    "train_avg_loss": "training loss (nats)",
    "test_avg_loss": "test loss (nats)",
    "train_accuracy": "training accuracy (fraction)",
    "step": "optimiser steps",
    "cosine_distance": "cosine similarity to first weights",
    "cumulative_gradient_norm": "gradient norm, summed over steps",
    "vector_difference_norm": "L2 distance from first weights",
    "propagated_mask": "propagated mask",
    "best_test_acc": "at best test accuracy",
    "best_train_loss": "at best training loss",
}
"""What a column is called on an axis, with its unit."""


def draw(rows: Sequence[Row], run: Any, config: Across) -> None:
    """Write the figure where ``run`` writes, as ``<y>-over-<x>.png`` and ``.svg``; says what is left out, and why."""
    log_x, log_y = config.log in ("x", "both"), config.log in ("y", "both")
    able = [row for row in rows if placed(row, config.x, log_x) and placed(row, config.y, log_y)]
    if left := len(rows) - len(able):
        positive = " above 0" if log_x or log_y else ""
        run.say(f"{left} of {len(rows)} runs are not in the figure: they have no {config.x} or no {config.y}{positive}")
    if not able:
        return
    figure, (axes,) = figures.new()
    scales = {"xscale": "log" if log_x else "linear", "yscale": "log" if log_y else "linear"}
    axes.set(xlabel=label(config.x), ylabel=label(config.y), **scales)
    tolerance = NEAR * spread([row[config.x] for row in able], log_x)
    groups = by_colour(able, config)
    for colour in sorted(groups, key=lambda colour: (isinstance(colour, str), colour)):
        means = averaged(groups[colour].values(), tolerance, log_x)
        line = figures.band(axes, list(means), list(means.values()), name(colour))
        scatter(axes, [point for points in groups[colour].values() for point in points], line)
    figures.legend(axes, f"{config.by.replace('_', ' ')}\nline and band: mean, standard deviation")
    for path in figures.save(figure, run, f"{slug(config.y)}-over-{slug(config.x)}"):
        run.say(f"figure: {path}")


def placed(row: Row, column: str, log: bool) -> bool:
    """Whether a row has a place on the axis of a column."""
    value = row.get(column)
    return value is not None and (value > 0 or not log)


def by_colour(rows: Sequence[Row], config: Across) -> dict[Any, dict[str, list[Point]]]:
    """Colour -> command (the folder that its seeds lie in) -> points."""
    groups: dict[Any, dict[str, list[Point]]] = {}
    for row in rows:
        colour = row["method"] if row.get(config.by) is None else row[config.by]
        command = row["run"].rpartition("/")[0]
        groups.setdefault(colour, {}).setdefault(command, []).append((row[config.x], row[config.y]))
    return groups


def scatter(axes: Axes, points: Sequence[Point], like: Line2D) -> None:
    """Draw points, faintly, in the colour and with the marker of a line."""
    xs, ys = zip(*points, strict=True)
    look: Row = {"color": like.get_color(), "marker": like.get_marker(), "markersize": 3, "markeredgewidth": 0, "alpha": 0.5}
    with figures.style():
        axes.plot(xs, ys, linestyle="none", **look)


def averaged(commands: Iterable[Sequence[Point]], tolerance: float, log: bool) -> dict[float, list[float]]:
    """By x every y there, in order of x. Points of one command that are near each other are taken to lie at their mean x."""
    found: dict[float, list[float]] = {}
    for points in commands:
        for near in alike(points, tolerance, log):
            x = statistics.fmean(x for x, _ in near)
            found.setdefault(float(f"{x:.9g}"), []).extend(y for _, y in near)
    return dict(sorted(found.items()))


def alike(points: Sequence[Point], tolerance: float, log: bool = False) -> list[list[Point]]:
    """Points in order of x, together while they lie within the tolerance of the first of their group."""
    groups: list[list[Point]] = []
    for point in sorted(points):
        if groups and spread([groups[-1][0][0], point[0]], log) <= tolerance:
            groups[-1].append(point)
        else:
            groups.append([point])
    return groups


def spread(values: Sequence[float], log: bool = False) -> float:
    """The largest minus the smallest; of their logarithms where ``log``."""
    least, most = min(values), max(values)
    return math.log(most / least) if log else most - least


def label(column: str) -> str:
    """What the column is called on an axis."""
    part, _, field = column.rpartition("/")
    return f"{WORDS.get(field, field)}\n({WORDS[part]})" if part in WORDS else WORDS.get(field, field)


def name(value: Any) -> str:
    """A value as the legend has it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def slug(column: str) -> str:
    """The column as part of a file's name."""
    return re.sub(r"[^a-z0-9_]+", "-", column)
