"""The figure of the analysis ``symmetry``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from widenet import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]
NAMES = {False: "masks as they are", True: "masks propagated"}
KINDS = {
    "unique_neurons": "classes of equal units",
    "zeroed_neurons": "without inputs",
    "dead_outgoing": "read by nobody",
}


def symmetry(rows: Rows, total: str, title: str) -> Figure:
    """Permutations and the kinds of units, layer by layer, under the masks and, where it was asked for, propagated ones.

    ``total`` is what the row of all layers is called.
    """
    drawn, (permutations, units) = figures.new(columns=2)
    layers = list(dict.fromkeys(row["layer"] for row in rows if row["layer"] != total))
    states = list(dict.fromkeys(row.get("propagated", False) for row in rows))
    with figures.style():
        whole = [row["log10_permutations"] + row["log10_lost"] for row in _of(rows, states[0], total)]
        look: dict[str, Any] = {"color": "none", "edgecolor": "0.3", "linewidth": 0.8}
        permutations.bar(range(len(whole)), whole, 0.84, label="without masks", **look)
        for number, state in enumerate(states):
            heights = [row["log10_permutations"] for row in _of(rows, state, total)]
            _bars(permutations, number, len(states), heights, label=NAMES[state], color=figures.COLOURS[number])
        permutations.set_yscale("symlog", linthresh=1)
        permutations.set_ylim(0, 2 * max([1.0, *whole]))
        permutations.set_ylabel("log₁₀ permutations")
        shown = _of(rows, states[0], total)
        for number, (name, label) in enumerate(KINDS.items()):
            heights = [row[name] / row["total_neurons"] if row["total_neurons"] else 0.0 for row in shown]
            _bars(units, number, len(KINDS), heights, label=label, color=figures.COLOURS[number + 2])
        units.set(ylabel="of the layer's units (fraction)", ylim=(0, 1.03))
        for axes in (permutations, units):
            figures.named(axes, layers)
        drawn.suptitle(f"{title}{', masks as they are on the right' if len(states) > 1 else ''}", fontsize=8)
        figures.legend(permutations, "", units)
    return drawn


def _of(rows: Rows, state: bool, total: str) -> list[Mapping[str, Any]]:
    """The rows of layers under masks of one kind."""
    return [row for row in rows if row["layer"] != total and row.get("propagated", False) == state]


def _bars(axes: Axes, number: int, count: int, heights: Sequence[float], **look: Any) -> None:
    """The bars of one of several series, beside the others of their layer."""
    width = 0.8 / count
    axes.bar([place + (number + 0.5 - count / 2) * width for place in range(len(heights))], heights, 0.95 * width, **look)
