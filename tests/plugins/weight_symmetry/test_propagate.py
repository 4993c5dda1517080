"""Propagation: what dead units send on goes, and nothing else."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from stored_masks import arrays, chained, read
from test_symmetry import chains
from torch import nn

from widenet.masks import Fixed, attach
from widenet_weight_symmetry.follow import follow
from widenet_weight_symmetry.propagate import propagate, propagate_structure
from widenet_weight_symmetry.symmetry import count_spaces

STORED = arrays("propagate")
MLPS = [name for name in read("propagate") if name.startswith("mlp")]


def stored(case, side):
    prefix = f"{case}/{side}/"
    return chained({name.removeprefix(prefix): kernel for name, kernel in STORED.items() if name.startswith(prefix)})


def same(one, other):
    return one.keys() == other.keys() and all(
        mask is other[name] is None or np.array_equal(mask, other[name]) for name, mask in one.items()
    )


@pytest.mark.parametrize("case", MLPS)
def test_as_the_original_does(case):
    assert same(propagate(stored(case, "in")), stored(case, "out"))


def test_a_layer_that_is_none_is_passed_over():
    given = {"MaskedModule_0": None, **stored("first_none", "in")}
    assert same(propagate(given), {"MaskedModule_0": None, **stored("first_none", "out")})


def test_convolutions_keep_their_taps():
    given = stored("conv_random", "in")
    first, second, third = given.values()
    alive = first.reshape(len(first), -1).any(1)
    assert not alive.all()
    wanted = second & alive[None, :, None, None]
    found = propagate(given)
    assert np.array_equal(found["MaskedModule_1"], wanted)
    still = wanted.reshape(len(wanted), -1).any(1)
    assert np.array_equal(found["MaskedModule_2"], third & still[None, :, None, None])


def test_a_flattened_map_goes_channel_by_channel():
    first = np.ones((3, 1, 2, 2), bool)
    first[1] = False
    found = propagate({"conv": first, "fc": np.ones((2, 12), bool)})["fc"]
    assert found[0].tolist() == [True] * 4 + [False] * 4 + [True] * 4


def reachable(masks, backward):
    """Masks where every connection is from a unit that is reached to one that is read, found edge by edge."""
    masks = {name: mask.copy() for name, mask in masks.items()}
    every = list(masks.values())
    while True:
        before = [mask.copy() for mask in every]
        for mask, following in itertools.pairwise(every):
            for unit in range(len(mask)):
                after = following.reshape(len(following), len(mask), -1)
                if not mask[unit].any():
                    after[:, unit] = False
                if backward and not after[:, unit].any():
                    mask[unit] = False
        if all(np.array_equal(*pair) for pair in zip(before, every, strict=True)):
            return masks


@given(chains(), st.booleans())
def test_to_a_fixed_point(masks, backward):
    copies = {name: mask.copy() for name, mask in masks.items()}
    found = propagate(masks, backward)
    assert same(found, reachable(masks, backward))
    assert same(propagate(found, backward), found)
    assert same(masks, copies)


@given(chains(), st.booleans())
def test_tensors_as_arrays(masks, backward):
    found = propagate({name: torch.from_numpy(mask) for name, mask in masks.items()}, backward)
    assert all(isinstance(mask, torch.Tensor) for mask in found.values())
    assert same({name: mask.numpy() for name, mask in found.items()}, propagate(masks, backward))


def test_what_is_returned_is_new():
    given = {"a": np.ones((3, 2), bool), "b": np.ones((2, 3), bool)}
    found = propagate(given)
    found["a"][:] = False
    assert given["a"].all()


def test_biases_and_neighbours_of_none_stay():
    dead = np.zeros((3, 2), bool)
    given = {"a": dead, "a.bias": np.ones(3, bool), "gap": None, "b": np.ones((2, 3), bool)}
    assert same(propagate(given, backward=True), given)


def test_layers_must_chain():
    with pytest.raises(ValueError, match="layers do not chain"):
        propagate({"a": np.ones((3, 2), bool), "b": np.ones((2, 4), bool)})


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(3, 4)
        self.block = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.stem(x)
        return self.head(x + self.block(x))


def masked(net, rows):
    """Mask whole units: layer -> those that read nothing."""

    def make(name, weight):
        mask = torch.ones_like(weight, dtype=torch.bool)
        mask[rows.get(name, [])] = False
        return Fixed(mask) if name in rows else None

    attach(net, make)
    return net


def test_a_sum_dies_with_all_of_its_terms():
    net = masked(Residual(), {"stem": [0, 1], "block": [1, 2]})
    layers = propagate_structure(follow(net, (3,))).layers
    assert layers["block"].mask.any(0).tolist() == [False, False, True, True]
    assert layers["head"].mask.any(0).flatten().tolist() == [True, False, True, True]  # it had no mask


def test_a_depthwise_unit_dies_with_what_it_reads():
    net = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Conv2d(3, 3, 3, groups=3), nn.Conv2d(3, 2, 1), nn.Flatten(), nn.Linear(2, 2))
    structure = follow(masked(net, {"0": [0], "1": [1]}), (2, 3, 3))
    row = count_spaces(structure)["layers"]["0"]
    assert (row["total_neurons"], row["zeroed_neurons"], row["unique_neurons"]) == (3, 2, 1)
    layers = propagate_structure(structure).layers
    assert layers["1"].mask.flatten(1).any(1).tolist() == [False, False, True]
    assert layers["2"].mask.flatten(2).any(2)[0].tolist() == [False, False, True]
    back = propagate_structure(structure, backward=True).layers
    assert back["0"].mask.flatten(1).any(1).tolist() == [False, False, True]


def test_groups_are_cleared_each_in_its_own():
    net = nn.Sequential(nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 3, groups=2), nn.Flatten(), nn.Linear(4, 2))
    structure = follow(masked(net, {"0": [0, 3], "1": []}), (2, 3, 3))
    mask = propagate_structure(structure).layers["1"].mask
    assert mask.shape == (4, 2, 3, 3)
    assert mask.flatten(2).any(2).tolist() == [[False, True]] * 2 + [[True, False]] * 2
