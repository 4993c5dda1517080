"""The page in a real browser: whole without scripting, sortable with it, quiet, and alone."""

import json
import shutil
from pathlib import Path

import pytest
from browsers import SITE, browser, looked_at, printed

from widenet import figures
from widenet.report import page
from widenet.runs import Run

pytestmark = pytest.mark.skipif(browser() is None, reason="no chromium here (Debian: apt-get install chromium)")

PHONE, DESK = "390", "1200"
ROWS = [
    {"layer": f"convs.{number}", "share": share, "n": 10**number} for number, share in enumerate([0.5, None, -2.0, 1e-9, 0.25])
]
WIDE = [{f"a column with a long name {number}": number / 7 for number in range(40)} | {"words": "word " * 60}]
CLAIMS = [
    {
        "claim": "half is best " * 12,
        "source": "fig. 4",
        "paper": 0.5,
        "ours": [0.25, 0.75],
        "mean": 0.5,
        "spread": 0.35,
        "holds": holds,
    }
    for holds in ("yes", "no", "undecided")
]
OWN = {f"{SITE}/{name}" for name in ("harness.html", "page.html")}


def keep(run, name, rows):
    """An analysis with two panels, as the core keeps it."""
    out = run / "analyses" / f"{name}-01234567"
    out.mkdir(parents=True)
    (out / "result.json").write_text(json.dumps(rows))
    (out / "result.csv").write_text("a\n1\n")
    (out / "run.json").write_text(json.dumps({"component": f"some/{name}", "status": "finished", "options": {"split": "test"}}))
    figure, axes = figures.new(columns=3)
    for axis in axes:
        figures.band(axis, [1, 2], [[1, 2], [3, 4]], "units")
    figures.write(figure, [out / f"{name}.svg"])
    return out


@pytest.fixture(scope="module")
def text(supermask_run, train_run, tmp_path_factory):
    """A page with everything on it: claims, an overview, curves, masks, analyses, SVGs of equal ids and a PNG, a failure."""
    home = tmp_path_factory.mktemp("report")
    bare = shutil.ignore_patterns("analyses")  # of other tests, that use these runs before or after this one
    runs = [Path(shutil.copytree(run, home / run.parent.name / run.name, ignore=bare)) for run in (supermask_run, train_run)]
    out = keep(runs[0], "shares", ROWS)
    keep(runs[0], "wide", WIDE * 3)
    shutil.copy(out / "shares.svg", runs[0] / "same.svg")
    drawn = figures.write(figures.new()[0], [home / "width.png"])
    (runs[1] / "weights" / "final.pt").unlink()
    (runs[1] / "log.txt").write_text("x" * 500)
    record = json.loads((runs[1] / "run.json").read_text())
    (runs[1] / "run.json").write_text(json.dumps({**record, "status": "failed", "error": "no-space-" * 60}))
    return page([Run.open(run) for run in runs], title="Runs-of-a-long-name-" * 8, claims=CLAIMS, figures=drawn)


@pytest.fixture(scope="module")
def seen(text):
    """The page in light, in two widths."""
    return looked_at(text, [PHONE, DESK])


@pytest.fixture(scope="module")
def plain(text):
    """The page in dark, without scripting."""
    return looked_at(text, [PHONE], scripts=False, dark=True)


def test_the_console_is_silent_and_nothing_is_asked_for(seen, plain):
    for look in (seen, plain):
        assert look.console == []
        assert set(look.requests) == OWN
        assert all(frame["fetched"] == [] for frame in look.frames.values())


def test_every_figure_is_visible(seen, plain):
    for look in (seen, plain):
        for frame in look.frames.values():
            assert len(frame["images"]) == 7
            for image in frame["images"]:
                assert image["pixels"] > 1000, image
                assert image["area"] > 1000, image


def test_nothing_overflows_sideways_and_wide_tables_scroll(seen, plain):
    for look in (seen, plain):
        for frame in look.frames.values():
            assert frame["overflow"] == 0
            assert max(frame["scrolls"]) > 500
    assert seen.frames[DESK]["scrolls"].count(0) > seen.frames[PHONE]["scrolls"].count(0)


def test_identifiers_are_unique(seen):
    assert seen.frames[DESK]["twice"] == []


def test_text_stands_out_in_light_and_in_dark(seen, plain):
    assert seen.frames[DESK]["paper"] == "rgb(255, 255, 255)"
    assert plain.frames[PHONE]["paper"] == "rgb(21, 24, 28)"
    assert seen.frames[DESK]["faint"] == []
    assert plain.frames[PHONE]["faint"] == []


def test_without_scripting_all_is_there_and_nothing_pretends(seen, plain):
    assert plain.frames[PHONE]["buttons"] == 0
    assert plain.frames[PHONE]["tables"] == seen.frames[PHONE]["tables"]
    assert plain.frames[PHONE]["folded"] > 0


def test_every_column_is_sorted_up_and_down(seen):
    tables = {table["label"]: table for table in seen.frames[DESK]["sorted"]}
    assert {"shares", "wide", "Claims", "Overview of the runs", "All options"} <= tables.keys()
    for table in tables.values():
        for place, column in enumerate(table["columns"]):
            assert column["focus"]
            for order, mark in zip(column["orders"], ("ascending", "descending"), strict=True):
                assert order["marked"] == [mark if number == place else None for number in range(len(table["columns"]))]
            if all(value is not None for value in column["orders"][0]["values"]):
                up, down = ([float(value) for value in order["values"]] for order in column["orders"])
                assert up == sorted(up)
                assert down == sorted(down, reverse=True)


def test_numbers_are_sorted_as_numbers_and_empty_cells_stay_last(seen):
    (table,) = [table for table in seen.frames[DESK]["sorted"] if table["label"] == "shares"]
    layer, share, count = table["columns"]
    assert [order["texts"] for order in share["orders"]] == [
        ["-2", "1e-09", "0.25", "0.5", ""],
        ["0.5", "0.25", "1e-09", "-2", ""],
    ]
    assert count["orders"][1]["texts"] == ["10,000", "1,000", "100", "10", "1"]
    assert layer["orders"][1]["texts"] == [f"convs.{number}" for number in (4, 3, 2, 1, 0)]


def test_it_prints(text, tmp_path):
    printed(text, tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "page.pdf").stat().st_size > 20_000


def test_what_these_tests_look_for_they_find(text):
    """A page that does all that ours must not do."""
    bad = """<!DOCTYPE html><meta charset=utf-8><img src="http://elsewhere.test/x.png" alt="">
    <p id=a style="color:#aaa">faint<p id=a>
    <div class=scroll aria-label=x><table><thead><tr><th>a<tbody></table></div><div style="width:3000px">wide</div>
    <script>console.error("loud"); fetch("https://secret.test/")</script>"""
    look = looked_at(bad, [PHONE])
    frame = look.frames[PHONE]
    assert any("loud" in line for line in look.console)
    assert {"http://elsewhere.test/x.png", "secret.test:443"} <= set(look.requests) - OWN
    assert "http://elsewhere.test/x.png" in frame["fetched"]
    assert frame["images"][0]["pixels"] == 0
    assert frame["overflow"] > 2000
    assert frame["twice"] == ["a"]
    assert len(frame["faint"]) == 1
    strict = text[: text.index("<main>")] + '<img src="http://elsewhere.test/x.png" alt="">'
    assert set(looked_at(strict, [PHONE]).requests) == OWN, "the page's own policy keeps the browser from asking"
