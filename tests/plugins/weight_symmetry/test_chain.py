"""Chains of masks: what they need, and what is said where they do not fit."""

import numpy as np
import pytest
import torch

from widenet_weight_symmetry.chain import chain
from widenet_weight_symmetry.structure import OUTSIDE, Layer, incoming, outgoing


def ones(*shape):
    return np.ones(shape, bool)


def test_each_layer_reads_the_one_before():
    structure = chain({"a": ones(3, 2), "b": ones(4, 3), "c": ones(5, 8)})
    assert (structure.layers["a"].reads[0] == OUTSIDE).all()
    assert structure.layers["b"].reads[0].tolist() == structure.layers["a"].numbers.tolist()
    assert structure.layers["c"].reads[0].tolist() == np.repeat(structure.layers["b"].numbers, 2).tolist()
    assert [space.name for space in structure.spaces] == ["a", "b", "c"]
    assert structure.opened.tolist() == structure.layers["c"].numbers.tolist()


def test_parts_are_views():
    structure = chain({"a": ones(3, 2, 5, 5), "b": ones(4, 3, 3, 3)})
    masks = {name: layer.mask for name, layer in structure.layers.items()}
    (reads,), (read,) = incoming(structure, structure.spaces[0]), outgoing(structure, structure.spaces[0])
    assert (reads.shape, reads.data_ptr()) == ((1, 3, 50), masks["a"].data_ptr())
    assert (read.shape, read.data_ptr()) == ((4, 3, 9), masks["b"].data_ptr())


@pytest.mark.parametrize(
    "shapes",
    [
        [(3, 2), (4, 2)],
        [(3, 2), (4, 4)],
        [(3, 2), (4, 1)],
        [(4, 2), (4, 2)],
        [(8, 3, 3, 3), (8, 1, 3, 3)],
        [(0, 2), (3, 2)],
        [(3, 2), (2, 0)],
    ],
)
def test_layers_that_do_not_chain_are_named(shapes):
    with pytest.raises(ValueError, match=r"layers do not chain: second .* first .* units") as caught:
        chain({name: ones(*shape) for name, shape in zip(["first", "second"], shapes, strict=True)})
    for shape in shapes:
        assert str(shape) in str(caught.value)


@pytest.mark.parametrize("mask", [np.ones((3, 2)), np.ones((3, 2), np.uint8), torch.ones(3, 2), [[True, True]]])
def test_masks_are_bool(mask):
    with pytest.raises(ValueError, match="the mask for fc must be bool, not"):
        chain({"fc": mask})


def test_a_mask_has_units_and_inputs():
    with pytest.raises(ValueError, match=r"the mask for fc must be \(units, inputs, ...\), not \(3,\)"):
        chain({"fc": ones(3)})


def test_a_bias_has_as_many_entries_as_its_layer_units():
    with pytest.raises(ValueError, match=r"the mask fc.bias has shape \(4,\), its layer has 3 units"):
        chain({"fc": ones(3, 2), "fc.bias": ones(4)})


def test_read_only_and_strided_arrays_will_do():
    given = np.zeros((4, 6), bool)
    given[1, 2] = True
    fixed = given.copy()
    fixed.flags.writeable = False
    for mask in (fixed, given.T.copy().T, given[::-1][::-1]):
        assert chain({"a": mask}).layers["a"].mask.tolist() == given.tolist()


def test_masks_for_a_structure_must_fit_it():
    structure = chain({"a": ones(3, 2), "b": ones(4, 3)})
    with pytest.raises(ValueError, match=r"masks for c, c\.bias, which the network does not have"):
        structure.masked({"a": torch.ones(3, 2).bool(), "c": torch.ones(1, 1).bool(), "c.bias": torch.ones(1).bool()})
    with pytest.raises(ValueError, match=r"the mask for b has shape \(3, 4\), its weight begins \(4, 3\)"):
        structure.masked({"b": torch.ones(3, 4).bool()})
    with pytest.raises(ValueError, match="the mask for a's bias has 2 entries for 3 units"):
        structure.masked({"a.bias": torch.ones(2).bool()})
    assert structure.masked({}).layers["a"].mask is None


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_grouped_mask_is_zero_between_groups(groups):
    mask = torch.rand(8, 12 // groups, 3, 2, generator=torch.Generator().manual_seed(0)) < 0.5
    block = Layer("conv", 8, 12, 2, groups, mask=mask).block
    for unit in range(8):
        group = unit // (8 // groups)
        for feature in range(12):
            inside = feature // (12 // groups) == group
            wanted = mask[unit, feature % (12 // groups)].flatten() if inside else torch.zeros(6).bool()
            assert block[unit, feature].equal(wanted)


def test_a_grouped_layer_without_a_mask_has_a_block_too():
    assert Layer("conv", 4, 4, 2, 2).block.squeeze(2).int().tolist() == [[1, 1, 0, 0]] * 2 + [[0, 0, 1, 1]] * 2
    assert Layer("fc", 4, 4, 2).block is None
