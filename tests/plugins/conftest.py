"""The core's helpers are these tests' too, and runs that several tests of a file read."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "core"))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder that a file's runs lie in."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def made():
    """What a file's tests have had carried out, by its words."""
    return {}


@pytest.fixture
def run(wn, home, made):
    """``run(*words)``: the folder of a run, carried out once for all; analyses may be added."""

    def carry_out(*words):
        if words not in made:
            answer = wn("run", *words, "--threads", "1", "--quiet", "--json", cwd=home)
            assert answer.code == 0, answer.err
            made[words] = home / answer.json["run"]
        return made[words]

    return carry_out
