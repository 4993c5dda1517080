"""Runs that nothing disturbed, to hold others against; copies to damage; pages of runs."""

import shutil
from pathlib import Path

import pytest
from pages import Page
from processes import fork, run_path


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """``unbroken(words)``: the finished run of a command that nothing disturbed; only to be read."""
    made = {}

    def make(words):
        key = " ".join(map(str, words))
        if key not in made:
            cwd = tmp_path_factory.mktemp("unbroken")
            answer = fork(words, cwd)
            assert answer.code == 0, answer.err
            made[key] = run_path(cwd)
        return made[key]

    return make


@pytest.fixture
def copy(supermask_run, tmp_path):
    """A run that a test may damage, without the analyses that others have added."""
    path = tmp_path / "runs" / supermask_run.parent.name / supermask_run.name
    return Path(shutil.copytree(supermask_run, path, ignore=shutil.ignore_patterns("analyses")))


@pytest.fixture
def report(wn):
    """``report(*words)``: the page of a command that succeeds."""

    def make(*words):
        answer = wn("report", *words, "-o", "-")
        assert answer.code == 0, answer.err
        return Page(answer.out)

    return make


@pytest.fixture
def bare(copy):
    """The same without metrics, of which there is nothing to draw: quicker."""
    for name in ("metrics.jsonl", "checkpoint.pt"):
        (copy / name).unlink()
    return copy
