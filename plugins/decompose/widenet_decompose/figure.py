"""Figures of the methods and the analyses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from widenet import figures
from widenet_decompose.filters import Filters
from widenet_decompose.information import jaccard

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MANY = 12
"""Points of a line up to which each has a marker."""


def class_filters(
    top: Sequence[float], held: Mapping[str, Sequence[tuple[int, float]]], shown: Filters, score: str, title: str
) -> Figure:
    """Mass over the number of units, overlap of classes, and how many classes a unit serves.

    ``top`` (F,) is the mass of a sample's own largest units, ``held`` by score the sizes and masses of sets; without ``top``,
    as of negative responses, the first panel is left out. The others are of ``shown``, sets by ``score``.
    """
    drawn, panels = figures.new(columns=3 if top else 2)
    second, third = panels[-2:]
    mask = shown.mask
    with figures.style():
        if top:
            _masses(panels[0], top, held)
        index = jaccard(mask).numpy()
        np.fill_diagonal(index, np.nan)  # a class and itself
        image = second.imshow(index, cmap="cividis", vmin=0, interpolation="nearest")
        second.set(xlabel="class", ylabel="class", title=f"overlap of {shown.size} units by {score}")
        second.grid(False)
        drawn.colorbar(image, ax=second, label="Jaccard index", shrink=0.85)
        serves = mask.sum(0).bincount()
        third.bar(range(len(serves)), serves.tolist(), color=figures.COLOURS[0])
        third.set(xlabel="classes that have a unit", ylabel="units", title=f"{shown.size} units by {score}")
        third.grid(axis="x", visible=False)
        drawn.suptitle(title, fontsize=8)
    return drawn


def _masses(axes: Axes, top: Sequence[float], held: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    axes.plot(range(1, len(top) + 1), top, marker="", label="its own largest units")
    for name, points in held.items():
        axes.plot(*zip(*points, strict=True), label=f"the class's, by {name}", **_marked(points))
    axes.set(xlabel="units", ylabel="part of a sample's response", ylim=(0, 1.03), title="mass")
    axes.legend(loc="lower right")


def accuracy_by_k(full: float, accuracies: Mapping[str, Sequence[tuple[int, float, float]]], units: int, title: str) -> Figure:
    """Accuracy over the units of each class: by score (size, mean, deviation over draws), and that of the full layer."""
    drawn, (axes,) = figures.new(height=1.2 * figures.HEIGHT)
    with figures.style():
        for name, points in accuracies.items():
            sizes, means, deviations = (np.array(part) for part in zip(*points, strict=True))
            (line,) = axes.plot(sizes, means, label=name, **_marked(points))
            if deviations.any():
                axes.fill_between(sizes, means - deviations, means + deviations, color=line.get_color(), alpha=0.2, linewidth=0)
        axes.axhline(full, color="0.3", linestyle="--", linewidth=0.8, marker="", label="full layer")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda size, _: f"{size:g}")
        axes.set(xlabel=f"units of each class (of {units})", ylabel="test accuracy (fraction)")
        drawn.suptitle(f"{title}\nband: one standard deviation over random sets", fontsize=8)
        figures.legend(axes)
    return drawn


def essential(rows: Sequence[Mapping[str, Any]], clean: float, title: str) -> Figure:
    """Accuracy with units overwritten, as bars with the interval over draws: the class's own units, or all others."""
    kinds = list(dict.fromkeys((row["score"], row["replace"]) for row in rows))
    drawn, panels = figures.new(columns=min(3, len(kinds)), rows=-(-len(kinds) // 3))
    with figures.style():
        for axes, (score, kind) in zip(panels, kinds, strict=False):
            here = [row for row in rows if (row["score"], row["replace"]) == (score, kind)]
            sizes = list(dict.fromkeys(row["k"] for row in here))
            for number, (where, label) in enumerate((("own", "the class's units"), ("rest", "all other units"))):
                found = [row for row in here if row["overwritten"] == where]
                places = np.arange(len(found)) + 0.4 * number - 0.2
                heights = np.array([row["accuracy"] for row in found])
                ends = np.abs(np.array([[row["low"], row["high"]] for row in found]).T - heights)
                look: Any = {"color": figures.COLOURS[number], "error_kw": {"linewidth": 0.8}}
                axes.bar(places, heights, 0.38, yerr=ends, label=label, **look)
            axes.axhline(clean, color="0.3", linestyle="--", linewidth=0.8, label="nothing overwritten")
            axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
            axes.set(xlabel="units of the class", ylabel="accuracy (fraction)", title=f"{score}: {kind}", ylim=(0, 1.05))
            axes.grid(axis="x", visible=False)
        for axes in panels[len(kinds) :]:
            axes.set_visible(False)
        drawn.suptitle(f"{title}\nbar: mean, line: 2.5 to 97.5 % of the draws", fontsize=8)
        figures.legend(panels[0])
    return drawn


def selectivity(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """The measures of each layer, in the order of the network."""
    measures = {"selectivity": "selectivity index", "psi": "psi", "entropy": "entropy (nats)"}
    drawn, panels = figures.new(columns=3)
    with figures.style():
        for axes, (name, label) in zip(panels, measures.items(), strict=True):
            points = [(place, row[name]) for place, row in enumerate(rows) if row[name] is not None]
            if points:
                axes.plot(*zip(*points, strict=True), **_marked(points))
            axes.set_ylabel(label)
            figures.named(axes, [row["layer"] for row in rows])
        drawn.suptitle(title, fontsize=8)
    return drawn


def _marked(points: Sequence[Any]) -> dict[str, Any]:
    """Markers would hide a line of many points."""
    return {} if len(points) <= MANY else {"marker": ""}


def mutual_information(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Mutual information and overlap of the sets of different classes over their size, by score, beside random ones.

    The band is of one deviation of random sets; those as large as the first score's are drawn.
    """
    drawn, (information, overlap) = figures.new(columns=2)
    sizes = list(dict.fromkeys(row["k"] for row in rows))
    first = rows[0]["score"]
    with figures.style():
        for score in dict.fromkeys(row["score"] for row in rows if row["score"] != "random"):
            here = [row for row in rows if row["score"] == score]
            places = [sizes.index(row["k"]) for row in here]
            information.plot(places, [row["off_diagonal"] for row in here], label=score)
            overlap.plot(places, [row["jaccard"] for row in here])
        there = [row for row in rows if row["score"] == first]
        means, deviations = ([row[name] for row in there] for name in ("random_off_diagonal", "random_deviation"))
        figures.spread(information, [sizes.index(row["k"]) for row in there], means, deviations, "random sets")
        if random := [row for row in rows if row["score"] == "random"]:
            overlap.plot([sizes.index(row["k"]) for row in random], [row["jaccard"] for row in random])
        information.set(ylabel="mutual information (nats)")
        overlap.set(ylabel="Jaccard index", ylim=(0, None))
        for axes in (information, overlap):
            axes.set_xticks(range(len(sizes)), sizes)
            axes.set(xlabel="units of each class", xlim=(-0.3, len(sizes) - 0.7))
        drawn.suptitle(f"{title}: means over pairs of different classes", fontsize=8)
        figures.legend(information, "band: one standard deviation over random sets")
    return drawn
