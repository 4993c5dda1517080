"""Every analysis on a small run of every method that is installed: ``python -m widenet.matrix FILE`` writes the table."""

from __future__ import annotations

import contextlib
import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from widenet.analyse import analyse
from widenet.components import Analysis, Comparison, Component, Method, Settings
from widenet.errors import WnError
from widenet.files import whole
from widenet.loading import load
from widenet.options import build, options, resolve
from widenet.plugins import Registry
from widenet.runs import Reporter
from widenet.testing import forked, smallest

HEAD = """# What each analysis says of each method's runs

`python -m widenet.matrix docs/matrix.md` writes this page: it carries out a small run of every installed method and puts every
analysis on it, a comparison on two seeds. {mark} stands for rows{figures}; a letter for the line below, by which the analysis
says why it has nothing to say about the run.
"""
ROWS = "✓"


@attrs.frozen
class Cell:
    """One analysis of one method's run."""

    method: str
    analysis: str
    rows: int = 0
    figures: int = 0
    """Figures that lie beside the rows, as PNG and SVG."""
    line: str = ""
    """Why there are no rows."""


def cells(registry: Registry, method: Component, folder: Path, files: Sequence[Path] = ()) -> Iterator[Cell]:
    """Carry out a method, from two seeds, and every analysis of what it left, in ``folder``; ``files`` are plugins' files.

    Raises:
        WnError: the method fails.
    """
    settings = Settings(threads=1, runs_dir=folder, data_dir=folder)
    runs = _runs(method, folder, files)
    for analysis in registry.components(Analysis):
        yield _cell(registry, method, analysis, runs, settings)


def _runs(method: Component, root: Path, files: Sequence[Path]) -> list[Path]:
    """Two runs that differ in their seed, with weights on the way where the method trains."""
    words = [*smallest(method, epochs=1), "--repeats", "2", "--quiet", "--runs-dir", str(root)]
    if any(option.name == "save_every" for option in options(method.config)):
        words += ["--stack", "--save-every", "1"]
    code, _, said = forked(words, root, files)
    if code:
        raise WnError(f"{method.full_name} failed: {said}")
    return sorted(path.parent for path in root.glob("*/seed-*/run.json"))


def _cell(registry: Registry, method: Component, analysis: Component, runs: Sequence[Path], settings: Settings) -> Cell:
    cell = Cell(registry.shown(method), registry.shown(analysis))
    several = isinstance(analysis, Comparison)
    chosen = resolve(analysis.config, analysis.presets.get("check", {}), "preset check")
    try:
        config = build(analysis.config, chosen, f"analysis {analysis.name}")
        with contextlib.redirect_stdout(sys.stderr):
            out, rows = analyse(registry, analysis, config, runs if several else runs[:1], settings, Reporter())
    except WnError as error:
        return attrs.evolve(cell, line=_impersonal(str(error), method, runs))
    figures = {path.stem for path in out.glob("*.png")} & {path.stem for path in out.glob("*.svg")}
    return attrs.evolve(cell, rows=len(rows), figures=len(figures), line="" if rows else "it yields no rows")


def _impersonal(line: str, method: Component, runs: Sequence[Path]) -> str:
    """The line without the names of runs and method."""
    for run in runs:
        for name in (str(run), f"{run.parent.name}/{run.name}", run.parent.name):
            line = line.replace(name, "RUN")
    return line.replace(method.full_name, "METHOD")


def page(found: Sequence[Cell]) -> str:
    """The matrix as Markdown: analyses down, methods across, and the lines below it."""
    methods = list(dict.fromkeys(cell.method for cell in found))
    analyses = list(dict.fromkeys(cell.analysis for cell in found))
    at = {(cell.analysis, cell.method): cell for cell in found}
    bare = dict.fromkeys(cell.analysis for cell in found if cell.rows and not cell.figures)
    but = f" and a figure ({', '.join(bare)}: rows alone)" if bare else " and a figure"
    marks = dict(zip(dict.fromkeys(cell.line for cell in found if cell.line), _letters(), strict=False))
    table = [[name, *(marks.get(at[name, method].line, ROWS) for method in methods)] for name in analyses]
    lines = [
        HEAD.format(mark=ROWS, figures=but),
        _row(["analysis", *methods]),
        _row(["---", *[":-:"] * len(methods)]),
        *map(_row, table),
    ]
    return "\n".join([*lines, "", *(f"- {mark}: {line}" for line, mark in marks.items()), ""])


def read(text: str) -> dict[tuple[str, str], str]:
    """What a page says, by analysis and method: the mark of rows, or the line."""
    table = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line.startswith("|")]
    lines = dict(line.removeprefix("- ").split(": ", 1) for line in text.splitlines() if line.startswith("- "))
    methods = table[0][1:]
    return {
        (name, method): lines.get(mark, mark) for name, *marks in table[2:] for method, mark in zip(methods, marks, strict=True)
    }


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _letters() -> Iterator[str]:
    """Letters: a to z, aa, ab, ..."""
    for size in itertools.count(1):
        yield from map("".join, itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=size))


def main(words: Sequence[str]) -> int:
    """Write the matrix of all that is installed to the file, or print it."""
    registry = load()
    found: list[Cell] = []
    for method in registry.components(Method):
        with tempfile.TemporaryDirectory() as folder:
            found += cells(registry, method, Path(folder))
    if not words:
        print(page(found))  # noqa: T201
        return 0
    with whole(Path(words[0])) as file:
        file.write(page(found).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
