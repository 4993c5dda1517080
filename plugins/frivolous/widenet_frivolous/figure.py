"""The figures of the analyses: ablation curves, redundancy of layers, growth with width, layers of two runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from widenet import figures
from widenet_frivolous.ablation_curve import Curve
from widenet_frivolous.options import Prunability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = len(figures.COLOURS)
"""Layers that a panel tells apart; of more, some evenly spaced are drawn."""
NAMED = 16
"""Layers up to which each is named on an axis."""
COLUMNS = 3
LEVELS = {
    "noise": "noise (deviations of a sample's values)",
    "weight-noise": "noise (deviations of a layer's weights)",
    "weight-knockout": "fraction of weights at zero",
}
"""What the levels of perturbations other than ablations are."""

T = TypeVar("T")


def draw_curves(groups: Sequence[Sequence[Curve]], config: Prunability, title: str) -> Figure:
    """What stays over the fraction ablated: a panel for each order and perturbation, a curve for each layer and for all."""
    kinds = list(dict.fromkeys((group[0].order, group[0].perturb) for group in groups))
    figure, panels = figures.new(min(COLUMNS, len(kinds)), -(-len(kinds) // COLUMNS))
    with figures.style():
        for axes, kind in zip(panels, kinds, strict=False):
            _curves(axes, [group for group in groups if (group[0].order, group[0].perturb) == kind], config)
        for axes in panels[len(kinds) :]:
            axes.set_visible(False)
        said = "" if config.draws == 1 else "\nline and band: mean and standard deviation over draws"
        figure.suptitle(f"{title}{said}", fontsize=8)
        figures.legend(panels[0])
    return figure


def _curves(axes: Axes, groups: Sequence[Sequence[Curve]], config: Prunability) -> None:
    for group in _some(groups):
        x = sorted({point for curve in group for point in curve.over_fractions(config.metric)[0]})
        draws = np.array([np.interp(x, *curve.over_fractions(config.metric)) for curve in group])
        figures.band(axes, x, draws.T.tolist(), group[0].target)
    axes.axhline(config.at, color="0.3", linestyle="--", linewidth=0.8, marker="")
    first = groups[0][0]
    stays = "labels that stay (fraction)" if config.metric == "agreement" else "accuracy, of the intact network's"
    title = f"{first.order} order: {first.perturb}" if first.ablates else first.perturb.replace("-", " ")
    axes.set(xlabel=LEVELS.get(first.perturb, "fraction of units ablated"), ylabel=stays, title=title, ylim=(-0.03, 1.05))


def draw_redundancy(layers: Mapping[str, Mapping[str, Any]], title: str) -> Figure:
    """Histogram of |r| over pairs of units, and cumulative share of the variance over the share of directions.

    ``layers`` has by layer the arrays ``histogram`` (bins,) and ``eigenvalues`` (N,), ascending.
    """
    figure, (left, right) = figures.new(columns=2)
    with figures.style():
        for colour, name in zip(figures.COLOURS, _some(list(layers)), strict=False):
            counts = np.asarray(layers[name]["histogram"], dtype=float)
            left.stairs(counts / max(1.0, counts.sum()), np.linspace(0, 1, len(counts) + 1), label=name, color=colour)
            values = np.asarray(layers[name]["eigenvalues"])[::-1].clip(min=0)
            held = values.cumsum() / values.sum() if values.sum() else np.zeros(len(values))
            right.plot(np.arange(1, len(values) + 1) / len(values), held, color=colour, marker="" if len(values) > 1 else "o")
        left.set(xlabel="|r| of two units", ylabel="fraction of the pairs")
        right.set(xlabel="fraction of the directions", ylabel="fraction of the variance", xlim=(0, 1.03), ylim=(0, 1.03))
        figure.suptitle(title, fontsize=8)
        figures.legend(left)
    return figure


def draw_widths(
    panels: Mapping[str, Mapping[str, Mapping[float, Sequence[float]]]],
    growth: Mapping[str, Mapping[str, float | None]],
    title: str,
) -> Figure:
    """A panel a quantity on log2 axes, a line a family with its growth factor g; the band is one deviation over runs.

    ``panels`` has by quantity and family the values of the runs of each width. The grey line is in proportion to the width: a
    curve that is steeper has g above 2.
    """
    families = max(map(len, panels.values()))
    figure, axes_of = figures.new(columns=len(panels), height=figures.HEIGHT + figures.LINE * (families + 1))
    with figures.style():
        for axes, (quantity, curves) in zip(axes_of, panels.items(), strict=True):
            for family, curve in curves.items():
                shown = {width: values for width, values in curve.items() if values and sum(values) > 0}
                g = growth[quantity].get(family)
                if shown:
                    label = f"{family}: g = {g:.2f}" if g is not None else family
                    figures.band(axes, list(shown), list(shown.values()), label)
            widths = sorted({width for curve in curves.values() for width in curve})
            axes.plot(widths, [width / widths[-1] for width in widths], color="0.6", linewidth=0.8, linestyle="-", marker="")
            axes.set_xscale("log", base=2)
            axes.set_yscale("log", base=2)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(lambda value, _: f"{value:g}" if value >= 1 else f"1/{1 / value:g}")
            axes.set(xlabel="width factor f", ylabel="fraction of the widest network", title=quantity)
            if axes.get_legend_handles_labels()[1]:
                axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
        figure.suptitle(title, fontsize=8)
    return figure


def draw_similarity(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Linear CKA as an image, layers of the first run downwards; pairs that were not measured stay blank."""
    layers, others = (list(dict.fromkeys(row[name] for row in rows)) for name in ("layer", "with_layer"))
    values = np.full((len(layers), len(others)), np.nan)
    for row in rows:
        if row["cka"] is not None:
            values[layers.index(row["layer"]), others.index(row["with_layer"])] = row["cka"]
    figure, (axes,) = figures.new(height=1.2 * figures.HEIGHT)
    with figures.style():
        image = axes.imshow(values, cmap="cividis", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
        for names, axis in ((layers, axes.yaxis), (others, axes.xaxis)):
            places = range(len(names)) if len(names) <= NAMED else []
            axis.set_ticks(list(places), [names[place] for place in places])
        axes.tick_params(axis="x", labelrotation=90)
        axes.grid(False)
        axes.set(xlabel="layer of the other run", ylabel="layer of the first run")
        figure.suptitle(f"{rows[0]['run']}\nand {rows[0]['with']}", fontsize=8)
        figure.colorbar(image, ax=axes, label="linear CKA")
    return figure


def _some(items: Sequence[T]) -> Sequence[T]:
    """All of them, or of many some that are evenly spaced, the first and the last among them."""
    if len(items) <= SHOWN:
        return items
    return [items[place] for place in dict.fromkeys(np.linspace(0, len(items) - 1, SHOWN).round().astype(int).tolist())]
