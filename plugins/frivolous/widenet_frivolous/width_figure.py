"""The figures of the width tables: what is prunable and redundant, and what is not, against width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from widenet import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = Mapping[float, Sequence[float]]
"""By width factor the values of runs."""


def draw(panels: Mapping[str, Mapping[str, Curve]], growth: Mapping[str, Mapping[str, float | None]], title: str) -> Figure:
    """A panel a quantity on log2 axes, a line a family with its growth factor g; the band is one deviation over runs.

    The grey line is in proportion to the width: a curve that is steeper has g above 2.
    """
    drawn, axes_of = figures.new(columns=len(panels))
    with figures.style():
        for axes, (quantity, curves) in zip(axes_of, panels.items(), strict=True):
            for family, curve in curves.items():
                shown = {width: values for width, values in curve.items() if values and sum(values) > 0}
                g = growth[quantity].get(family)
                label = f"{family}: g = {g:.2f}" if g is not None else family
                if shown:
                    figures.band(axes, list(shown), list(shown.values()), label)
            widths = sorted({width for curve in curves.values() for width in curve})
            axes.plot(widths, [width / widths[-1] for width in widths], color="0.6", linewidth=0.8, linestyle="-", marker="")
            axes.set_xscale("log", base=2)
            axes.set_yscale("log", base=2)
            axes.xaxis.set_major_formatter(lambda width, _: f"{width:g}")
            axes.set(xlabel="width factor f", ylabel=f"{quantity} as a part of the widest", title=quantity)
            axes.legend(loc="lower right")
        drawn.suptitle(title, fontsize=8)
    return drawn
