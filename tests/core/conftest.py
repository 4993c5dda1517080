"""Runs that nothing disturbed, to hold others against."""

import pytest
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
