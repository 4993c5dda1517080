"""Figures of ``chunk-dimension`` and ``bias-variance``, drawn from their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from widenet import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]
ERRORS = {"train_error": "training", "test_error": "test", "ensemble_error": "test, ensemble of the seeds"}
PARTS = {"loss": "squared error", "bias2": "bias²", "variance": "variance"}


def dimensions(rows: Rows, title: str) -> Figure:
    """Intrinsic dimension over the size of the chunk, by both estimates; without an estimate a size has no point."""
    drawn, (axes,) = figures.new()
    there = [row for row in rows if row["dimension"] is not None]
    likely = [row for row in rows if row["likelihood"] is not None]
    with figures.style():
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda size, _: f"{size:g}")
        if there:
            sizes, means, deviations = ([row[name] for row in there] for name in ("size", "dimension", "deviation"))
            figures.spread(axes, sizes, means, deviations, "linear fit")
        if likely:
            axes.plot([row["size"] for row in likely], [row["likelihood"] for row in likely], label="maximum likelihood")
        axes.set_ylim(0, axes.get_ylim()[1])
        axes.autoscale(enable=False)
        ends = [row["size"] for row in rows]
        axes.plot(ends, ends, color="0.5", linestyle=":", linewidth=0.8, marker="", label="as many as neurons", zorder=1)
        axes.set(xlabel="chunk size (neurons)", ylabel="intrinsic dimension (2-NN)")
        drawn.suptitle(title, fontsize=8)
        figures.legend(axes, "band: one standard deviation over chunks")
    return drawn


def bias_variance(rows: Rows) -> Figure:
    """Errors, and the squared error with its two parts, over the parameters of one architecture or, of several, by kind."""
    parameters = [row["parameters"] for row in rows]
    archs = {row["arch"].partition(":")[0] for row in rows}
    wide = None not in parameters and len(set(parameters)) == len(rows) > 1 and len(archs) == 1
    order = sorted(range(len(rows)), key=lambda place: parameters[place]) if wide else range(len(rows))
    found = [rows[place] for place in order]
    x = [row["parameters"] if wide else place for place, row in enumerate(found)]
    drawn, panels = figures.new(columns=2)
    with figures.style():
        for axes, columns in zip(panels, (ERRORS, PARTS), strict=True):
            for name, label in columns.items():
                _line(axes, x, found, name, label, joined=wide)
            _ticks(axes, [row["arch"] for row in found], wide)
            axes.set_ylim(min(0, axes.get_ylim()[0]), None)
            axes.legend(loc="best")
        panels[0].set_ylabel("error (fraction)")
        panels[1].set_ylabel("squared error of probabilities")
        seeds = sorted({row["seeds"] for row in found})
        many = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}"
        drawn.suptitle(f"{many} seeds of each; band of the test error: one standard deviation over seeds", fontsize=8)
    return drawn


def _line(axes: Axes, x: Sequence[float], rows: Rows, name: str, label: str, joined: bool) -> None:
    there = [
        (place, row[name], row.get(f"{name}_deviation")) for place, row in zip(x, rows, strict=True) if row[name] is not None
    ]
    if not there:
        axes.plot([], [])  # the next line keeps its colour
        return
    places, means, deviations = (list(column) for column in zip(*there, strict=True))
    if joined:
        figures.spread(axes, places, means, deviations, label)
        return
    (line,) = axes.plot(places, means, linestyle="none", label=label)
    figures.uprights(axes, places, means, deviations, line.get_color())


def _ticks(axes: Axes, names: Sequence[str], wide: bool) -> None:
    if wide:
        axes.set_xscale("log")
        axes.set_xlabel("parameters")
    else:
        figures.named(axes, [name.rpartition("/")[2].partition(",")[0] for name in names], "network")
