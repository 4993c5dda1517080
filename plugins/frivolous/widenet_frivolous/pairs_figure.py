"""The figure of compared runs: CKA of every layer of one with every layer of the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from widenet import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMED = 16
"""Layers up to which each is named on an axis."""


def draw(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Linear CKA as an image, layers of the first run downwards; pairs that were not measured stay blank."""
    layers, others = (list(dict.fromkeys(row[name] for row in rows)) for name in ("layer", "with_layer"))
    values = np.full((len(layers), len(others)), np.nan)
    for row in rows:
        if row["cka"] is not None:
            values[layers.index(row["layer"]), others.index(row["with_layer"])] = row["cka"]
    drawn, (axes,) = figures.new(height=1.2 * figures.HEIGHT)
    with figures.style():
        image = axes.imshow(values, cmap="cividis", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
        for names, axis in ((layers, axes.yaxis), (others, axes.xaxis)):
            places = range(len(names)) if len(names) <= NAMED else []
            axis.set_ticks(list(places), [names[place] for place in places])
        axes.tick_params(axis="x", labelrotation=90)
        axes.grid(False)
        axes.set(xlabel="layer of the other run", ylabel="layer of the first run")
        drawn.suptitle(f"{rows[0]['run']}\nand {rows[0]['with']}", fontsize=8)
        drawn.colorbar(image, ax=axes, label="linear CKA")
    return drawn
