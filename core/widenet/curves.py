"""Training curves of runs: what their metrics say, epoch by epoch, seeds taken together."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from widenet import figures
from widenet.errors import UsageError
from widenet.legends import SHORT, groups, listed, title, worded
from widenet.options import nearest
from widenet.runs import Run
from widenet.series import Curve, Trace, averaged, metric_names, points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DEFAULT = ("loss", "accuracy")
DASHES = {"train": "--", "val": ":", "test": "-"}
"""How the line of each split is drawn."""
FILLED = {"train": "none", "val": "left"}
"""How its markers are filled: those of single epochs have no line."""
MANY = 12
"""Points of a line up to which each has a marker; of more about as many have."""
AXES = {"epoch": "epoch", "seconds": "training time (s)"}


@attrs.frozen
class Line:
    """What is one line in every panel: runs, each with its points."""

    label: str
    traces: Sequence[Trace]


def training_curves(runs: Sequence[Run], columns: Sequence[str] = (), x: str = "epoch", by: str = "") -> Figure:
    """A panel a column, over ``x``: train dashed, validation dotted, test solid; runs without these metrics are left out.

    Runs that differ in their seed only are one line, their mean, in a band of one standard deviation of the sample. Where a
    method trains several times its loops lie one after the other, the line broken and a thin upright between them.

    Args:
        runs: at least one; they may be of different lengths, or not finished.
        columns: metrics as ``mask/flips``, or ``loss`` for that of every split; loss and accuracy where none is given.
        x: ``epoch``, or ``seconds`` of training, evaluation included.
        by: a setting as ``lr`` or ``arch.width``; its value alone then says which runs are taken together.

    Raises:
        UsageError: no run has metrics; no such column or setting.
    """
    traces = {run.path: list(points(run)) for run in runs}
    panels = _panels(runs, list(traces.values()), columns)
    drawn = [run for run in runs if _has(traces[run.path], panels)]
    lines = [Line(group.label, [traces[run.path] for run in group.runs]) for group in groups(drawn, by)]
    figure, axes = figures.new(columns=min(2, len(panels)), rows=-(-len(panels) // 2))
    with figures.style():
        for axis, (name, series) in zip(axes, panels.items(), strict=False):
            _panel(axis, lines, series, x)
            axis.set(xlabel=AXES[x], ylabel=worded(name))
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        figure.suptitle(textwrap.fill(title(drawn), 60 * min(2, len(panels))), fontsize=8)
        _legend(axes[0], lines, {split for series in panels.values() for split in series}, SHORT * min(2, len(panels)))
    return figure


def lacking(runs: Sequence[Run], columns: Sequence[str] = ()) -> list[Run]:
    """The runs that :func:`training_curves` leaves out, for they have none of these metrics.

    Raises:
        UsageError: all of them.
    """
    traces = [list(points(run)) for run in runs]
    panels = _panels(runs, traces, columns)
    return [run for run, trace in zip(runs, traces, strict=True) if not _has(trace, panels)]


def _has(trace: Trace, panels: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether a run has anything to draw in some panel."""
    return not {metric for series in panels.values() for metric in series.values()}.isdisjoint(metric_names([trace]))


def _panels(runs: Sequence[Run], traces: Sequence[Trace], columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Of each column its metric by split."""
    known = metric_names(traces)
    if not known:
        name = runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
        raise UsageError(f"{name}: no metrics to draw; methods that train leave some, one line an epoch")
    return {name: _series(name, known) for name in columns or _default(known)}


def _default(known: Sequence[str]) -> Sequence[str]:
    """Loss and accuracy, or the first two metrics of a method that has neither."""
    usual = [name for name in DEFAULT if any(f"{split}/{name}" in known for split in DASHES)]
    return usual or known[:2]


def _series(name: str, known: Sequence[str]) -> dict[str, str]:
    """Split -> metric, of what is asked for as one column.

    Raises:
        UsageError: there is no such metric; the line lists those there are.
    """
    if name in known:
        split = name.partition("/")[0]
        return {split if split in DASHES else "": name}
    found = {split: f"{split}/{name}" for split in DASHES if f"{split}/{name}" in known}
    if not found:
        short = [rest if split in DASHES else metric for metric in known for split, _, rest in [metric.partition("/")]]
        raise UsageError(f"no run has a metric {name!r}{nearest(name, [*short, *known])}; there are {listed(short)}")
    return found


def _panel(axes: Axes, lines: Sequence[Line], series: Mapping[str, str], x: str) -> None:
    from matplotlib.ticker import MaxNLocator

    edges: set[float] = set()
    for number, line in enumerate(lines):
        for split, metric in series.items():
            curve = averaged(line.traces, metric, x)
            look = _look(number, split, len(lines))
            if len(lines) > 1 or len(curve.x) <= MANY:
                look["markevery"] = max(1, len(curve.x) // MANY)
            _draw(axes, curve, look)
            edges.update(curve.edges)
    for edge in edges:
        axes.axvline(edge, color="0.3", linewidth=0.6, linestyle="-.", marker="", zorder=1)
    if x == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, (low + high) / 2 - 0.5), max(high, (low + high) / 2 + 0.5))  # of one epoch alone


def _look(number: int, split: str, groups: int) -> dict[str, Any]:
    """Groups differ in colour and marker, splits in dashes and how markers are filled; those of a single group in all."""
    place = number if groups > 1 else list(DASHES)[::-1].index(split) if split else 0
    look = {**figures.look(place), "linestyle": DASHES.get(split, "-")}
    return {**look, "fillstyle": FILLED.get(split, "full"), "markerfacecoloralt": "white"}


def _draw(axes: Axes, curve: Curve, look: dict[str, Any]) -> None:
    """A line in its band; a point without neighbours has a marker, and an upright in place of the band."""
    import numpy as np

    beside = np.pad(np.isfinite(curve.mean), 1)
    alone = beside[1:-1] & ~beside[:-2] & ~beside[2:]
    low, high = curve.mean - curve.deviation, curve.mean + curve.deviation
    axes.plot(curve.x, curve.mean, **{"markevery": np.flatnonzero(alone).tolist(), **look})
    axes.fill_between(curve.x, low, high, color=look["color"], alpha=0.2, linewidth=0)
    figures.uprights(axes, curve.x[alone], curve.mean[alone], curve.deviation[alone], look["color"])


def _legend(axes: Axes, lines: Sequence[Line], splits: set[str], room: int) -> None:
    """Name the groups by colour and the splits by dashes, in lines of so many letters."""
    most = max(len(line.traces) for line in lines)
    for number, line in enumerate(lines if len(lines) > 1 else ()):
        count = len(line.traces)
        many = f" ({count} run{'s' if count > 1 else ''})" if most > 1 else ""
        axes.plot(
            [], [], label=textwrap.fill(f"{line.label}{many}", room), **{**_look(number, "", len(lines)), "linestyle": "-"}
        )
    for split in [split for split in DASHES if split in splits] if len(lines) == 1 or len(splits) > 1 else ():
        grey = {"color": "0.3"} if len(lines) > 1 else {}
        axes.plot([], [], label=split, **{**_look(0, split, len(lines)), **grey})
    figures.legend(axes, "line and band: mean and standard deviation over runs" if most > 1 else "")
