"""Which layers are studied without being named, and which rows of them are kept."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from widenet.errors import UsageError
from widenet_frivolous.gathering import sampled_rows
from widenet_frivolous.layers import studied_layers


class Samples:
    """A split of a few random images."""

    def batches(self, size):
        yield torch.randn(size, 1, 4, 4), torch.zeros(size, dtype=torch.int64)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.last, self.first = nn.Linear(8, 3), nn.Linear(16, 8)  # not in the order of their calls
        self.unused = nn.ReLU()

    def forward(self, x):
        return self.last(F.relu(self.first(x.flatten(1))))


def test_activations_but_that_of_the_logits():
    last = (nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 5), nn.ReLU())
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten(), *last)
    assert studied_layers(net, Samples()) == ["1", "4"]
    assert studied_layers(net, Samples(), ["3", "5:input"]) == ["3", "5:input"]
    assert net.training


def test_functions_are_studied_by_what_follows_them():
    assert studied_layers(Functional(), Samples()) == ["last:input"]


def test_a_network_with_nothing_to_study():
    with pytest.raises(UsageError, match="name layers with --layer"):
        studied_layers(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), Samples())


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.integers(1, 30), st.integers(0, 9))
def test_rows_are_positions_of_their_images(images, units, side, most, seed):
    output = torch.arange(images * units * side * side, dtype=torch.float32).view(images, units, side, side)
    rows, of = sampled_rows(output, most, torch.Generator().manual_seed(seed))
    every = output.movedim(1, -1).reshape(-1, units)
    assert len(rows) == min(most, len(every))
    places = [(every == row).all(1).nonzero().item() for row in rows]
    assert places == sorted(set(places))
    assert of.tolist() == [place // side**2 for place in places]


def test_shapes_of_outputs():
    generator = torch.Generator()
    assert sampled_rows(torch.zeros(5, 3), 99, generator)[0].shape == (5, 3)
    assert sampled_rows(torch.zeros(5), 99, generator)[0].shape == (5, 1)
    assert sampled_rows(torch.zeros(5, 7, 3), 99, generator)[0].shape == (35, 3)  # tokens
    assert sampled_rows(torch.zeros(5, 7, 3), 99, generator, tokens=False)[0].shape == (15, 7)  # places along a line
