"""The figure of ``prunability``: what stays over the fraction of units ablated, mean and deviation over draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from widenet import figures
from widenet_frivolous.curve_config import Prunability
from widenet_frivolous.lines import Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 8
"""Layers that a panel tells apart; of more, some evenly spaced are drawn."""
COLUMNS = 3


def draw(groups: Sequence[Sequence[Line]], config: Prunability, title: str) -> Figure:
    """A panel for each order and perturbation, with a curve for each layer and one for all of them."""
    kinds = list(dict.fromkeys((group[0].order, group[0].perturb) for group in groups))
    figure, panels = figures.new(min(COLUMNS, len(kinds)), -(-len(kinds) // COLUMNS))
    with figures.style():
        for axes, kind in zip(panels, kinds, strict=False):
            _panel(axes, [group for group in groups if (group[0].order, group[0].perturb) == kind], config)
        for axes in panels[len(kinds) :]:
            axes.set_visible(False)
        said = "" if config.draws == 1 else "\nline and band: mean and standard deviation over draws"
        figure.suptitle(f"{title}{said}", fontsize=8)
        figures.legend(panels[0])
    return figure


def _panel(axes: Axes, groups: Sequence[Sequence[Line]], config: Prunability) -> None:
    for group in _some(groups):
        x = sorted({point for line in group for point in line.curve(config.metric)[0]})
        draws = np.array([np.interp(x, *line.curve(config.metric)) for line in group])
        figures.band(axes, x, draws.T.tolist(), group[0].target)
    axes.axhline(config.at, color="0.3", linestyle="--", linewidth=0.8, marker="")
    first = groups[0][0]
    what = "fraction of units ablated" if first.ablates else "noise, or fraction of weights"
    stays = "labels that stay (fraction)" if config.metric == "agreement" else "accuracy, of the intact network's"
    title = f"{first.order}: {first.perturb}" if first.ablates else first.perturb
    axes.set(xlabel=what, ylabel=stays, title=title, ylim=(-0.03, 1.05))


def _some(groups: Sequence[Sequence[Line]]) -> Sequence[Sequence[Line]]:
    """All groups, or of many some that are evenly spaced, the first and the last among them."""
    if len(groups) <= SHOWN:
        return groups
    places = np.linspace(0, len(groups) - 1, SHOWN).round().astype(int)
    return [groups[place] for place in dict.fromkeys(places.tolist())]
