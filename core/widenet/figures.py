"""Figures in one style, as PNG and SVG: for a column of print, and for readers who do not see every colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widenet.files import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from widenet.runs import Run

WIDTH, HEIGHT = 3.4, 2.5
"""Inches of a panel: the column of a page in two columns."""
DPI = 200
LINE = 0.15
"""Inches that a line of a legend takes."""
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
"""Okabe and Ito's, without their yellow, which is lost on white (jfly.uni-koeln.de/color)."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLE: dict[str, Any] = {
    **dict.fromkeys(("axes.axisbelow", "axes.grid", "figure.constrained_layout.use"), True),
    **dict.fromkeys(("axes.spines.right", "axes.spines.top", "legend.frameon"), False),
    **dict.fromkeys(("font.size", "axes.titlesize"), 8),
    "grid.color": "0.9",
    **dict.fromkeys(("legend.fontsize", "legend.title_fontsize"), 7),
    "legend.labelspacing": 0.3,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "svg.hashsalt": "widenet",  # else its identifiers are random
}


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib in this style for a block, whatever the user's own settings are, which hold again after it.

    Draw inside such a block: artists take their style when they are made.
    """
    import matplotlib.style
    from cycler import cycler

    cycle = cycler(linestyle=("-", "--", ":")) * (cycler(color=COLOURS) + cycler(marker=MARKERS))
    with matplotlib.style.context({**STYLE, "axes.prop_cycle": cycle}, after_reset=True):
        yield


def new(columns: int = 1, rows: int = 1, height: float = HEIGHT) -> tuple[Figure, list[Axes]]:
    """A figure of ``rows`` by ``columns`` panels of ``height`` inches, and the panels in reading order.

    It belongs to no window and to no list of open figures.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(columns * WIDTH, rows * height))
        FigureCanvasAgg(figure)
        return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def band(axes: Axes, x: Sequence[float], ys: Sequence[Sequence[float]], label: str = "") -> Line2D:
    """Draw the mean of ``ys[i]``, the values at ``x[i]``, and a band of one standard deviation to either side.

    The deviation is the sample's (n - 1); a single value has a band of no width. Each call takes the next colour and marker.
    Returns the line of the means.
    """
    import numpy as np

    mean = np.array([np.mean(values) for values in ys])
    deviation = np.array([np.std(values, ddof=1) if len(values) > 1 else 0.0 for values in ys])
    with style():
        (line,) = axes.plot(x, mean, label=label)
        axes.fill_between(x, mean - deviation, mean + deviation, color=line.get_color(), alpha=0.2, linewidth=0)
    return line


def legend(axes: Axes, title: str = "") -> None:
    """Name the lines of ``axes`` below the figure, which grows by the room that this takes."""
    figure: Any = axes.figure
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    columns = max(1, int(figure.get_figwidth() / (0.45 + 0.065 * max(map(len, labels)))))
    with style():
        figure.legend(handles, labels, title=title, ncols=columns, loc="outside lower center")
    lines = -(-len(labels) // columns) + (title.count("\n") + 1 if title else 0)
    figure.set_figheight(figure.get_figheight() + LINE * lines)


def save(figure: Figure, run: Run, name: str) -> tuple[Path, Path]:
    """Write ``<name>.png`` and ``<name>.svg`` where ``run`` writes, and free the figure; the same figure gives the same bytes.

    Raises:
        ValueError: the name has a slash in it.
        WnError: the disk is full, or the folder may not be written; neither file is then left half-written.
    """
    import io

    if Path(name).name != name:
        raise ValueError(f"a figure's name is that of a file, not {name!r}")
    content = {}
    with style():
        for kind in ("png", "svg"):
            file = io.BytesIO()
            # A date would make each drawing another file.
            figure.savefig(file, format=kind, dpi=DPI, metadata={"Title": name, **({"Date": None} if kind == "svg" else {})})
            content[run.out / f"{name}.{kind}"] = file.getvalue()
    for path, drawn in content.items():
        with whole(path) as out:
            out.write(drawn)
    figure.clear()
    return run.out / f"{name}.png", run.out / f"{name}.svg"
