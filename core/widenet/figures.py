"""Figures in one style, as PNG and SVG: for a column of print, and for readers who do not see every colour."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widenet.files import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from widenet.runs import Run

Row = dict[str, Any]
WIDTH, HEIGHT = 3.4, 2.5
"""Inches of a panel: the column of a page in two columns."""
DPI = 200
LINE = 0.15
"""Inches that a line of a legend takes."""
NAMED, LETTERS, ACROSS = 12, 20, 36
"""Layers that are named below an axis, letters of each, and of all without being tilted."""
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

    deviation = [float(np.std(values, ddof=1)) if len(values) > 1 else None for values in ys]
    return spread(axes, x, [float(np.mean(values)) for values in ys], deviation, label)


def spread(axes: Axes, x: Sequence[float], mean: Sequence[float], deviation: Sequence[float | None], label: str = "") -> Line2D:
    """Draw means in a band of one deviation (None is 0) to either side, a single one with an upright; else as :func:`band`."""
    import numpy as np

    middle, width = np.array(mean, dtype=float), np.array([value or 0.0 for value in deviation])
    with style():
        (line,) = axes.plot(x, middle, label=label)
        axes.fill_between(x, middle - width, middle + width, color=line.get_color(), alpha=0.2, linewidth=0)
    if len(middle) == 1:
        uprights(axes, x, middle.tolist(), width.tolist(), line.get_color())
    return line


def look(number: int) -> dict[str, Any]:
    """Colour and marker of one of up to 49 series that no dashes tell apart."""
    colour, beyond = number % len(COLOURS), number // len(COLOURS)
    return {"color": COLOURS[colour], "marker": MARKERS[(colour + beyond) % len(MARKERS)]}


def uprights(axes: Axes, x: Sequence[float], mean: Sequence[float], deviation: Sequence[float | None], color: Any) -> None:
    """Draw one deviation to either side of means that no line joins; takes no colour of its own."""
    there = [(place, middle, width) for place, middle, width in zip(x, mean, deviation, strict=True) if width]
    with style():
        for place, middle, width in there:
            axes.vlines(place, middle - width, middle + width, colors=color, linewidth=0.8)


def named(axes: Axes, names: Sequence[str], what: str = "layer") -> None:
    """Let the places 0, 1, ... of the x axis be layers, or others in an order: by name, or where they are many by number."""
    count = len(names)
    with style():
        axes.set_xlim(-0.6, max(count, 1) - 0.4)
        axes.grid(axis="x", visible=False)
        if count <= NAMED:
            shown = [name if len(name) <= LETTERS else f"…{name[1 - LETTERS :]}" for name in names]
            tilted = max(map(len, shown), default=0) * count > ACROSS
            look: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if tilted else {}
            axes.set_xticks(range(count), shown, **look)
        else:
            step = -(-count // NAMED)
            axes.set_xticks(range(0, count, step), [str(number + 1) for number in range(0, count, step)])
            axes.set_xlabel(f"{what} (of {count}, in order)")


def beside(rows: Iterable[Row], draw: Callable[[list[Row]], Figure], run: Any, name: str) -> Iterator[Row]:
    """Pass the rows of an analysis on, and :func:`save` their figure when the last has come; without any there is none."""
    kept = []
    for row in rows:
        kept.append(row)
        yield row
    if kept:
        save(draw(kept), run, name)


def legend(axes: Axes, title: str = "", *more: Axes) -> None:
    """Name the lines of ``axes``, and of ``more``, below the figure, which grows by the room that this takes."""
    figure: Any = axes.figure
    found = [each.get_legend_handles_labels() for each in (axes, *more)]
    handles, labels = [part for pair in found for part in pair[0]], [str(label) for pair in found for label in pair[1]]
    if not labels:
        return
    longest = max(len(line) for label in labels for line in label.split("\n"))
    columns = max(1, int(figure.get_figwidth() / (0.45 + 0.065 * longest)))
    with style():
        figure.legend(handles, labels, title=title, ncols=columns, loc="outside lower center")
    sizes = [1 + label.count("\n") for label in labels]
    rows = sum(sizes) if columns == 1 else -(-len(labels) // columns) * max(sizes)
    lines = rows + (title.count("\n") + 1 if title else 0)
    figure.set_figheight(figure.get_figheight() + LINE * lines)


def rendered(figure: Figure, kind: str, title: str = "") -> bytes:
    """The figure as a file of ``kind`` (``png``, ``svg`` or ``pdf``); the same figure gives the same bytes.

    Raises:
        ValueError: matplotlib writes no such files.
    """
    import io

    # A date would make each drawing another file.
    undated: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    file = io.BytesIO()
    with style():
        figure.savefig(file, format=kind, dpi=DPI, metadata={**({"Title": title} if title else {}), **undated})
    return file.getvalue()


def save(figure: Figure, run: Run, name: str) -> tuple[Path, Path]:
    """Write ``<name>.png`` and ``<name>.svg`` where ``run`` writes, and free the figure; the same figure gives the same bytes.

    Raises:
        ValueError: the name has a slash in it.
        WnError: the disk is full, or the folder may not be written; neither file is then left half-written.
    """
    if Path(name).name != name:
        raise ValueError(f"a figure's name is that of a file, not {name!r}")
    png, svg = write(figure, [run.out / f"{name}.{kind}" for kind in ("png", "svg")])
    return png, svg


def write(figure: Figure, paths: Sequence[Path]) -> list[Path]:
    """Write the figure to each of these files, in the form that its ending names, and free it; returns the paths.

    Raises:
        ValueError: an ending that matplotlib has no form for.
        WnError: the disk is full, or the folder may not be written; no file is then left half-written.
    """
    content = {}
    for path in paths:  # all before the first is written
        content[path] = rendered(figure, path.suffix[1:], path.stem)
        figure.set_layout_engine("none")  # its panels stay where they are: to find their places takes as long as to draw
    for path, drawn in content.items():
        with whole(path) as out:
            out.write(drawn)
    figure.clear()
    return list(paths)
