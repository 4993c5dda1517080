"""The figure of ``mask-stats``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from widenet import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def mask_stats(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Kept weights, and units and inputs that are cut off, layer by layer as fractions; the last row is of all layers."""
    *layers, total = rows
    drawn, (kept, dead) = figures.new(columns=2)
    densities = [row["density"] for row in layers]
    with figures.style():
        kept.bar(range(len(layers)), densities, color=figures.COLOURS[0])
        kept.axhline(total["density"], color="0.3", linestyle="--", linewidth=0.8)
        kept.set(ylabel="weights kept (fraction)", title=f"dashed: all layers, {total['density']:.3g}")
        kept.set_ylim(0, 1.05 * max([total["density"], *densities]) or 1)
        highest = 0.0
        for number, (of, label) in enumerate((("units", "units without an incoming weight"), ("inputs", "inputs of no unit"))):
            heights = [row[f"dead_{of}"] / row[of] if row[of] else 0.0 for row in layers]
            places = [place + 0.4 * number - 0.2 for place in range(len(layers))]
            dead.bar(places, heights, 0.38, color=figures.COLOURS[number], label=label)
            highest = max([highest, *heights])
        dead.set(ylabel="cut off (fraction)", ylim=(0, 1.3 * highest or 1))  # room for the legend
        dead.legend(loc="upper left")
        for axes in (kept, dead):
            figures.named(axes, [row["layer"] for row in layers])
        drawn.suptitle(title, fontsize=8)
    return drawn
