"""A grid of options: as words, as a file, as cells, and where its keys belong."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widenet.components import Method
from widenet.errors import UsageError
from widenet.grid import cells, parse, placed, read
from widenet.loading import load


@pytest.fixture(scope="module")
def registry():
    return load()


@pytest.fixture(scope="module")
def train(registry):
    return registry.find(Method, "train")


@pytest.mark.parametrize(
    ("words", "grid"),
    [
        (["width=0.5,1"], {"width": ["0.5", "1"]}),
        (["seed=0..3"], {"seed": ["0", "1", "2", "3"]}),
        (["seed=0..8..4,7"], {"seed": ["0", "4", "8", "7"]}),
        (["batch-size=32, 64", "lr=0.1"], {"batch_size": ["32", "64"], "lr": ["0.1"]}),
        (["arch=conv2,conv4:width=0.5,bias=true,fc"], {"arch": ["conv2", "conv4:width=0.5,bias=true", "fc"]}),
    ],
)
def test_words(words, grid):
    assert parse(words) == grid


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["width"], "write KEY=VALUE"),
        (["=1"], "write KEY=VALUE"),
        (["width="], "width has no values, so the grid is empty"),
        (["width=,"], "the grid is empty"),
        (["seed=3..1"], "the grid is empty"),
        (["lr=1", "lr=2"], "lr is in the grid already"),
        (["batch-size=1", "batch_size=2"], "is in the grid already"),
        (["lr=1,2,1"], "has the value 1 twice"),
    ],
)
def test_wrong_words(words, line):
    with pytest.raises(UsageError, match=line):
        parse(words)


VALUES = st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True)


@given(st.dictionaries(st.sampled_from("abcde"), VALUES, max_size=4))
def test_cells_are_the_product_in_order(grid):
    found = cells(grid)
    assert [tuple(cell.values()) for cell in found] == list(itertools.product(*grid.values()))
    assert all(list(cell) == list(grid) for cell in found)


def test_a_file(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text('epochs = 5\nbatch-size = 32\n[grid]\nseed = "0..2"\n"arch.hidden" = [[300, 100], [50]]\nlr = [0.1]\n')
    options, grid = read(path)
    assert options == {"epochs": 5, "batch_size": 32}
    assert grid == {"seed": ["0", "1", "2"], "arch.hidden": [[300, 100], [50]], "lr": [0.1]}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("epochs = ", "no valid TOML"),
        ("grid = 3", "grid is no table"),
        ("[grids]\nlr = [1]", r"\[grids\] is unknown"),
        ("[grid]\nlr = []", "the grid is empty"),
    ],
)
def test_wrong_files(content, line, tmp_path):
    (tmp_path / "grid.toml").write_text(content)
    with pytest.raises(UsageError, match=line):
        read(tmp_path / "grid.toml")
    with pytest.raises(UsageError, match="cannot read"):
        read(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("given", "cell", "chosen"),
    [
        ({}, {"lr": 0.1}, {"lr": 0.1}),
        ({"arch": "conv2", "epochs": None}, {"width": 0.5}, {"arch": "conv2:width=0.5"}),
        ({"arch": "conv2:bias=true"}, {"width": 0.5}, {"arch": "conv2:bias=true,width=0.5"}),
        ({}, {"arch": "fc", "hidden": [30, 10]}, {"arch": "fc:hidden=30,10"}),
        ({}, {"arch.width": 2, "dataset.size": 4}, {"arch": "conv4:width=2", "dataset": "digits:size=4"}),
        ({}, {"seed": 3, "preset": "check"}, {"seed": 3, "preset": "check"}),
    ],
)
def test_keys_find_their_place(given, cell, chosen, registry, train):
    assert placed(registry, train, given, cell) == chosen


@pytest.mark.parametrize(
    ("given", "cell", "line"),
    [
        ({}, {"widht": 1}, "did you mean 'width'"),
        ({"lr": 1}, {"lr": 2}, "lr is given as an option and varies in the grid"),
        ({"arch": "conv2:width=1"}, {"width": 2}, "width varies in the grid and is set in conv2:width=1"),
        ({"arch": "nothing"}, {"width": 2}, "unknown model 'nothing'"),
    ],
)
def test_keys_without_a_place(given, cell, line, registry, train):
    with pytest.raises(UsageError, match=line):
        placed(registry, train, given, cell)
