"""The sizes of chunks."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_layers import GOLDEN

from widenet.errors import UsageError
from widenet_redundant_repr.grid import chosen, octaves

PUBLISHED = json.loads((GOLDEN / "chunk_size_grid.json").read_text())


@pytest.mark.parametrize("width", PUBLISHED)
def test_octaves_are_those_published(width):
    assert octaves(int(width)) == PUBLISHED[width]
    assert chosen(int(width), "octaves") == PUBLISHED[width]


@given(width=st.integers(1, 10**7))
def test_octaves_halve_from_the_width_to_one(width):
    sizes = octaves(width)
    assert (sizes[0], sizes[-1]) == (1, width)
    assert all(small == large // 2 for small, large in itertools.pairwise(sizes))


def test_all_sizes_and_explicit_ones():
    assert chosen(5, "all") == [1, 2, 3, 4, 5]
    assert chosen(48, (48, 3, 7, 3)) == [3, 7, 48]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((3, 49), "49 neurons fits a layer of width 48; give sizes from 1 to 48"),
        ((0,), "width 48"),
        ((), "no chunk size is given"),
    ],
)
def test_sizes_that_do_not_fit_are_named(sizes, message):
    with pytest.raises(UsageError, match=message):
        chosen(48, sizes)
