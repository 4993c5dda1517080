"""The figure of ``mask-overlap``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from widenet import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]
ALL = "all"
ROOM = 10
"""Runs up to which a matrix has its numbers written in it."""


def mask_overlap(rows: Rows, names: Sequence[str]) -> Figure:
    """Jaccard index and z, layer by layer, over all pairs of runs; of three runs or more also the index of each pair.

    ``names`` are those of the runs, in the order of the matrix.
    """
    many = len(names) > 2
    drawn, panels = figures.new(columns=3 if many else 2)
    layers = [layer for layer in dict.fromkeys(row["layer"] for row in rows) if layer != ALL]
    with figures.style():
        _by_layer(panels[0], rows, layers, "jaccard", "masks of two runs")
        _by_layer(panels[0], rows, layers, "jaccard_by_chance", "as many weights at random")
        _by_layer(panels[1], rows, layers, "z")
        panels[1].axhline(0, color="0.3", linewidth=0.8, marker="")
        panels[0].set(ylabel="Jaccard index", ylim=(0, panels[0].get_ylim()[1]))
        panels[1].set(ylabel="z (deviations from chance)")
        for axes in panels[:2]:
            figures.named(axes, layers)
        if many:
            _matrix(panels[2], rows, names)
        pairs = len({(row["first"], row["second"]) for row in rows})
        band = f"line and band: mean and standard deviation over {pairs} pairs of runs" if pairs > 1 else ""
        drawn.suptitle(" and ".join(names) if not many else f"{len(names)} runs", fontsize=8)
        figures.legend(panels[0], band)
    return drawn


def _by_layer(axes: Axes, rows: Rows, layers: Sequence[str], column: str, label: str = "") -> None:
    found = [[row[column] for row in rows if row["layer"] == layer and row[column] is not None] for layer in layers]
    there = [place for place, values in enumerate(found) if values]
    if there:
        figures.band(axes, there, [found[place] for place in there], label)


def _matrix(axes: Axes, rows: Rows, names: Sequence[str]) -> None:
    import numpy as np

    index = np.full((len(names), len(names)), np.nan)
    for row in rows:
        if row["layer"] == ALL:
            one, other = names.index(row["first"]), names.index(row["second"])
            index[one, other] = index[other, one] = row["jaccard"]
    image = axes.imshow(index, cmap="cividis", interpolation="nearest")
    for (one, other), value in np.ndenumerate(index) if len(names) <= ROOM else ():
        if np.isfinite(value):
            light = value < (np.nanmin(index) + np.nanmax(index)) / 2
            axes.text(other, one, f"{value:.2f}", ha="center", va="center", fontsize=6, color="white" if light else "black")
    # Names are long: seeds, where these tell all apart, or numbers.
    folders = {name.rpartition("/")[0] for name in names}
    words = [name.rpartition("/")[2].removeprefix("seed-") for name in names]
    words = words if len(folders) == 1 else [str(number + 1) for number in range(len(names))]
    if len(names) <= ROOM:
        axes.set_xticks(range(len(names)), words)
        axes.set_yticks(range(len(names)), words)
    axes.set(title="Jaccard index, all layers", xlabel="seed" if len(folders) == 1 else "run, in the order given")
    axes.grid(False)
    axes.figure.colorbar(image, ax=axes, shrink=0.85)
