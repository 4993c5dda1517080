"""The figure of a redundancy analysis: how correlated units are, and how few directions hold their variance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from widenet import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 7
"""Layers that are drawn; of more, as many at even distances."""


def draw(layers: Mapping[str, Mapping[str, Any]], title: str) -> Figure:
    """Histogram of |r| over pairs of units, and cumulative share of the variance over the share of directions.

    ``layers`` has by layer the arrays ``histogram`` (bins,) and ``eigenvalues`` (N,), ascending.
    """
    names = list(layers)
    shown = [names[place] for place in sorted({round(p) for p in np.linspace(0, len(names) - 1, min(MOST, len(names)))})]
    drawn, (left, right) = figures.new(columns=2)
    with figures.style():
        for name in shown:
            counts = np.asarray(layers[name]["histogram"], dtype=float)
            edges = np.linspace(0, 1, len(counts) + 1)
            share = counts / max(1.0, counts.sum())
            left.stairs(share, edges, label=name, color=figures.COLOURS[shown.index(name)], linewidth=1.2)
            values = np.asarray(layers[name]["eigenvalues"])[::-1].clip(min=0)
            held = values.cumsum() / values.sum() if values.sum() else np.zeros(len(values))
            right.plot(np.arange(1, len(values) + 1) / len(values), held, marker="" if len(values) > 1 else "o")
        left.set(xlabel="|r| of two units", ylabel="share of the pairs")
        right.set(xlabel="share of the directions", ylabel="share of the variance", xlim=(0, 1.03), ylim=(0, 1.03))
        drawn.suptitle(title, fontsize=8)
        figures.legend(left)
    return drawn
