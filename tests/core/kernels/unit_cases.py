"""Masks with equal units, and a grouping of them in pure Python."""

from unittest import mock

import torch
from hypothesis import strategies as st

from widenet.kernels import classes as module


def reference(parts):
    """Class of each unit by a dict over the bytes of its bits."""
    seen = {}
    return [seen.setdefault(tuple(part[:, u].numpy().tobytes() for part in parts), len(seen)) for u in range(parts[0].shape[1])]


def planted(shapes, picks, seed, density=0.5):
    """Parts (a, n, b) for the given (a, b), whose unit u is number ``picks[u]`` of a pool of random ones."""
    generator = torch.Generator().manual_seed(seed)
    pools = [torch.rand(a, max(picks, default=0) + 1, b, generator=generator) < density for a, b in shapes]
    return [pool[:, picks] for pool in pools]


@st.composite
def masks(draw, widest=40):
    """One to three parts of the same few or many units, some of them equal."""
    shapes = draw(st.lists(st.tuples(st.integers(0, 70), st.sampled_from([0, 1, 1, 2, 9, widest])), min_size=1, max_size=3))
    picks = draw(st.lists(st.integers(0, 12), max_size=30))
    return planted(shapes, picks, draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([0, 0.02, 0.5, 1])))


def strided(part):
    """The same bits, not contiguous."""
    return torch.stack([part, ~part], -1)[..., 0]


def form_of(compiled):
    """The compiled loops, or for a block the plain form."""
    return mock.patch.multiple(module, SMALL=0, compiled=module.compiled if compiled else lambda name: None)
