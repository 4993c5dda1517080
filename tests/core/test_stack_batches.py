"""``Images.stacked`` hands out the batches of several passes at once, each as it would be by itself."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widenet.data import Images

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)


def generators(count):
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


def pixels(count, channels=3, side=6):
    generator = torch.Generator().manual_seed(9)
    x = torch.randint(256, (count, channels, side, side), dtype=torch.uint8, generator=generator)
    return x, torch.randint(10, (count,), generator=generator)


def check(split, size, runs):
    """Inputs and labels of each run are bit for bit those of a pass of its own; images are in ``channels_last`` memory."""
    stacked = list(split.stacked(size, generators(runs)))
    apart = [list(split.batches(size, generator)) for generator in generators(runs)]
    assert len(stacked) == len(apart[0]) == -(-len(split) // size)
    for number, (x, y) in enumerate(stacked):
        for run in range(runs):
            own_x, own_y = apart[run][number]
            assert x[run].shape == own_x.shape
            assert x[run].dtype == own_x.dtype == torch.float32
            assert torch.equal(x[run], own_x)
            assert torch.equal(y[run], own_y)
            assert x.ndim < 5 or x[run].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("pad", [0, 2])
@pytest.mark.parametrize("size", [4, 7, 21, 50])
def test_images(pad, flip, size):
    check(Images(*pixels(21), MEAN, STD, pad, flip), size, 3)


@pytest.mark.parametrize("shape", [(5,), (2, 3), (1, 6, 6)])
def test_floats(shape):
    check(Images(torch.randn(21, *shape), torch.arange(21)), 8, 4)


@given(count=st.integers(1, 30), size=st.integers(1, 31), runs=st.integers(1, 4), pad=st.integers(0, 3), flip=st.booleans())
def test_any_sizes(count, size, runs, pad, flip):
    check(Images(*pixels(count, 1, 4), pad=pad, flip=flip), size, runs)


def test_runs_differ_in_order_and_crops():
    split = Images(*pixels(40), pad=2, flip=True)
    ((x, y),) = split.stacked(40, generators(2))
    assert not torch.equal(y[0], y[1])
    order = [torch.randperm(40, generator=generator).argsort() for generator in generators(2)]
    assert torch.equal(y[0][order[0]], y[1][order[1]])
    assert not torch.equal(x[0][order[0]], x[1][order[1]])
