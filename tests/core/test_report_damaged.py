"""Pages of runs that are damaged, unfinished or not there: what is missing is named, and nothing written is lost."""

import shutil
from pathlib import Path

import pytest
from pages import analysis, edit

from widenet import figures
from widenet.runs import Run


def truncate(path):
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("weights/final.pt", Path.unlink, "weights/final.pt is missing"),
        ("weights/final.pt", truncate, "weights/final.pt is damaged"),
        ("masks/final.h5", Path.unlink, "masks/final.h5 is missing"),
        ("masks/final.h5", truncate, "final.h5 is no readable HDF5 file"),
        ("metrics.jsonl", Path.unlink, "metrics.jsonl is missing or empty"),
        ("metrics.jsonl", lambda path: path.write_text("{\n"), "metrics.jsonl is damaged"),
        ("metrics.jsonl", lambda path: path.write_text("3\n"), "metrics.jsonl is damaged"),
        ("metrics.jsonl", lambda path: path.write_bytes(b"\xff\xfe\n"), "metrics.jsonl is damaged"),
    ],
)
def test_a_half_deleted_run_is_shown_and_what_is_missing_named(name, damage, said, copy, report):
    damage(copy / name)
    found = report(copy)
    assert said in found.text
    assert "What is missing" in found.text
    assert found.rows("All options")


def test_a_whole_run_lacks_nothing(supermask_run, train_run, report):
    assert "What is missing" not in report(supermask_run, train_run).text


@pytest.mark.parametrize(
    ("damaged", "said"), [("run.json", "how this analysis was made"), ("result.json", "result.json is missing")]
)
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("[3"), lambda path: path.write_text("7")])
def test_a_damaged_analysis(damage, damaged, said, bare, report):
    damage(analysis(bare, [{"n": 1}]) / damaged)
    assert said in report(bare).text


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_damaged_figure(kind, bare, report):
    figures.write(figures.new()[0], [bare / f"panels.{kind}"])
    truncate(bare / f"panels.{kind}")
    found = report(bare)
    assert f"panels.{kind} is damaged" in found.text
    assert not any("panels" in image["alt"] for image in found.images)


@pytest.mark.parametrize("text", ["[3", "{}", "[1]"])
def test_damaged_claims(text, bare, report):
    (bare / "claims.json").write_text(text)
    assert "claims.json is damaged" in report(bare).text


def test_an_unfinished_run_is_shown_as_it_stands(copy, report):
    edit(copy, status="running", result={}, finished="")
    shutil.rmtree(copy / "weights")
    found = report(copy)
    assert "partial" in found.text
    assert "epoch 2 of 2" in found.text
    assert "is missing" not in found.text
    last = Run.open(copy).metrics()[-1]["test/accuracy"]
    assert f"test accuracy {last:.2%}" in found.text


def test_a_failed_run_says_why(bare, report):
    edit(bare, status="failed", error="no space left", result={})
    text = report(bare).text
    assert "failed" in text
    assert "no space left" in text


def test_a_moved_run_is_named(bare, report):
    edit(bare, name="elsewhere/seed-0")
    assert "the run was made as elsewhere/seed-0" in report(bare).text


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_no_such_run(wn):
    answer = wn("report", "nothing-here", "-o", "page.html")
    assert answer.code == 2
    assert "there is no run 'nothing-here'" in answer.err


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 1}'])
def test_a_damaged_record_is_one_line(text, copy, wn, tmp_path):
    (copy / "run.json").write_text(text)
    answer = wn("report", copy, "-o", tmp_path / "page.html")
    assert answer.code == 1
    assert len(answer.err.splitlines()) == 1
    assert "run.json" in answer.err
    assert not (tmp_path / "page.html").exists()


def test_where_the_page_goes(copy, wn, tmp_path):
    answer = wn("report", copy)
    assert answer.out.splitlines() == [str(copy / "report.html")]
    first = (copy / "report.html").read_bytes()
    assert wn("report", copy).code == 0
    assert (copy / "report.html").read_bytes() == first
    (tmp_path / "page.html").write_text("x" * 2_000_000)
    assert wn("report", copy, "-o", "page.html").code == 0
    assert (tmp_path / "page.html").read_bytes() == first


def test_a_page_that_cannot_be_written(supermask_run, wn, tmp_path):
    (tmp_path / "file").touch()
    for out, said in (("file/page.html", "cannot write"), (".", "is a folder")):
        answer = wn("report", supermask_run, "-o", out)
        assert answer.code == (2 if out == "." else 1)
        assert said in answer.err
        assert "-o" in answer.err
        assert len(answer.err.splitlines()) == 1


def test_a_full_disk_leaves_the_old_page(supermask_run, wn, tmp_path):
    (tmp_path / "page.html").write_text("old")
    (tmp_path / "page.html.part").symlink_to("/dev/full")
    answer = wn("report", supermask_run, "-o", "page.html")
    assert answer.code == 1
    assert "no space left" in answer.err
    assert (tmp_path / "page.html").read_text() == "old"
