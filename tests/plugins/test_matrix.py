"""Every analysis on a run of every installed method: rows with a figure, or one clear line, as docs/matrix.md says."""

import re
from pathlib import Path

import pytest

from widenet.components import Analysis, Method
from widenet.errors import WnError
from widenet.loading import load
from widenet.matrix import ROWS, Cell, cells, page, read

PAGE = Path(__file__).parents[2] / "docs" / "matrix.md"
RENEW = "renew it: python -m widenet.matrix docs/matrix.md"
BARE: set[str] = set()
"""Analyses that need not draw a figure."""
METHODS = [method.full_name for method in load().components(Method)]


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_every_analysis_has_something_to_say_of_a_method(name, tmp_path):
    registry = load()
    method = registry.find(Method, name)
    found = list(cells(registry, method, tmp_path))
    for cell in found:
        assert bool(cell.rows) != bool(cell.line), cell
        assert cell.figures or not cell.rows or cell.analysis in BARE, f"{cell.analysis} draws no figure"
        assert not re.search(r"\n|a bug|Traceback|Error\b", cell.line), cell
        assert len(cell.line) < 300, cell
    said = {at: text for at, text in read(PAGE.read_text()).items() if at[1] == registry.shown(method)}
    assert said == {(cell.analysis, cell.method): cell.line or ROWS for cell in found}, RENEW


def test_the_page_has_all_that_is_installed():
    registry = load()
    shown = [[registry.shown(found) for found in registry.components(kind)] for kind in (Analysis, Method)]
    assert list(read(PAGE.read_text())) == [(analysis, method) for analysis in shown[0] for method in shown[1]], RENEW


LAME = """
from widenet import Method, Train, WnError, hookimpl

def lame(run, net, data, config):
    "Fail."
    raise WnError("it has no legs; give it some")

@hookimpl
def methods():
    yield Method("lame", lame, Train)
"""
FOUND = [
    *(Cell("train", "stats", line="RUN has no masks: none"), Cell("train", "curves", rows=3, figures=2)),
    *(Cell("mask", "stats", rows=2), Cell("mask", "curves", line="another | line")),
    *(Cell("prune", "stats", rows=1, figures=1), Cell("prune", "curves", line="RUN has no masks: none")),
]


def test_a_page_is_read_as_it_was_written():
    text = page(FOUND)
    assert text.splitlines()[-7:] == [
        "| analysis | train | mask | prune |",
        "| --- | :-: | :-: | :-: |",
        "| stats | a | ✓ | ✓ |",
        "| curves | ✓ | b | a |",
        "",
        "- a: RUN has no masks: none",
        "- b: another | line",
    ]
    assert read(text) == {(cell.analysis, cell.method): cell.line or ROWS for cell in FOUND}
    assert "stands for rows and a figure (stats: rows alone)" in text
    assert "stands for rows and a figure; a letter" in page(FOUND[:2])


def test_a_method_that_fails_is_no_cell(tmp_path):
    (tmp_path / "lame.py").write_text(LAME)
    files = [tmp_path / "lame.py"]
    registry = load(files)
    with pytest.raises(WnError, match=r"lame/lame failed: .*it has no legs; give it some"):
        list(cells(registry, registry.find(Method, "lame"), tmp_path, files))
