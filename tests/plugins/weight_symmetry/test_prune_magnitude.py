"""Pruning by magnitude: exact numbers, ties by position, nothing returns; and the published rule as recorded."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widenet_weight_symmetry.magnitude import as_published, magnitude, together
from widenet_weight_symmetry.masks import kept

GOLDEN = Path(__file__).parents[2] / "golden" / "weight_symmetry"
RECORDED = json.loads((GOLDEN / "prune.json").read_text())
RATES = [rate for rate, value in RECORDED.items() if "A_kept" in str(value) and rate[0].isdigit()]
SPARSITIES = st.floats(0, 1) | st.sampled_from([0, 0.1, 0.5, 0.9, 1])
OF = st.sampled_from(["all", "survivors"])


@pytest.fixture(scope="module")
def arrays():
    """Recorded weights and masks in torch layout: the neuron first."""
    with np.load(GOLDEN / "prune.npz") as file:
        return {name: torch.from_numpy(np.ascontiguousarray(np.moveaxis(file[name], (-1, -2), (0, 1)))) for name in file}


@pytest.mark.parametrize("rate", RATES)
def test_the_published_rule_as_recorded(arrays, rate):
    about, asked = RECORDED[rate], float(rate)
    for layer, weight in (("A", arrays["W"]), ("B", arrays["V"])):
        mask = as_published(weight, asked)
        assert torch.equal(mask, arrays[f"uniform/{rate}/{layer}"].bool())
        assert mask.sum() == about[f"{layer}_kept"]
        assert mask.dtype == torch.bool
    existing = arrays["existing_mask"].bool()
    mask = as_published(arrays["W"], asked, existing)
    assert torch.equal(mask, arrays[f"existing/{rate}/A"].bool())
    assert (existing.sum(), mask.sum()) == (about["existing_kept_before"], about["existing_kept_after"])


def test_the_published_rule_by_other_saliencies_and_comparisons(arrays):
    mask = as_published(arrays["W"], 0.5, saliency=lambda weight: weight)
    assert torch.equal(mask, arrays["signed_saliency/A"].bool())
    assert mask.sum() == RECORDED["signed_saliency_0.5"]["A_kept"]
    assert as_published(arrays["W"], 0.5, compare=torch.le).sum() == RECORDED["compare_less_equal_0.5"]
    assert as_published(arrays["V"], 0.5).sum() == RECORDED["mapping_B_only"]["B"]


def reference(weights, masks, count):
    """The masks that a stable sort of (masked last, larger first, later first) gives: ``count`` of all weights."""
    flat = torch.cat([weight.flatten() for weight in weights]).abs().double().tolist()
    left = torch.cat([mask.flatten() for mask in masks]).tolist()
    order = sorted(range(len(flat)), key=lambda place: (left[place], flat[place], place), reverse=True)
    marks = torch.zeros(len(flat), dtype=torch.bool)
    marks[order[:count]] = True
    parts = marks.split([weight.numel() for weight in weights])
    return [part.view(weight.shape) for part, weight in zip(parts, weights, strict=True)]


@st.composite
def layers(draw):
    """Draw layers with many zeros and ties, and masks."""
    source = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    shapes = draw(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple), min_size=1, max_size=3))
    coarse = draw(st.booleans())
    weights = [torch.randn(shape, generator=source) for shape in shapes]
    weights = [(weight * 1.5).round() * 0.3 if coarse else weight for weight in weights]
    return weights, [torch.rand(shape, generator=source) < 0.7 for shape in shapes]


@given(drawn=layers(), sparsity=SPARSITIES, of=OF, masked=st.booleans())
def test_one_layer(drawn, sparsity, of, masked):
    (weight, *_), (mask, *_) = drawn
    before = weight.clone()
    left = int(mask.sum()) if masked else weight.numel()
    after = magnitude(weight, sparsity, mask if masked else None, of)
    count = min(left, kept(left if of == "survivors" else weight.numel(), sparsity))
    existing = mask if masked else torch.ones_like(mask)
    assert torch.equal(after, reference([weight], [existing], count)[0])
    assert after.sum() == count
    assert not (after & ~existing).any()
    assert torch.equal(weight, before)


@given(drawn=layers(), sparsity=SPARSITIES, of=OF)
def test_layers_that_compete(drawn, sparsity, of):
    weights, masks = drawn
    named = {str(k): weight for k, weight in enumerate(weights)}
    left = {str(k): mask for k, mask in enumerate(masks)}
    after = together(named, left, sparsity, of)
    total, survivors = sum(weight.numel() for weight in weights), int(sum(mask.sum() for mask in masks))
    count = min(survivors, kept(survivors if of == "survivors" else total, sparsity))
    wanted = reference(weights, masks, count)
    assert list(after) == list(named)
    assert all(torch.equal(mask, other) for mask, other in zip(after.values(), wanted, strict=True))


@given(drawn=layers(), steps=st.lists(st.floats(0, 0.99), min_size=2, max_size=5).map(sorted), of=OF)
def test_step_by_step_nothing_returns(drawn, steps, of):
    (weight, *_), _ = drawn
    mask = torch.ones_like(weight, dtype=torch.bool)
    for sparsity in steps:
        after = magnitude(weight, sparsity, mask, of)
        assert not (after & ~mask).any()
        # What the values have become meanwhile plays no part for what is gone.
        mask, weight = after, torch.where(after, weight, 100 + weight)
    if of == "all":
        assert mask.sum() == kept(weight.numel(), steps[-1])


@given(drawn=layers(), sparsity=st.floats(0, 0.9), share=st.floats(0, 0.9))
def test_a_floor_keeps_something_of_every_layer(drawn, sparsity, share):
    weights, _ = drawn
    named, floor = {str(k): weight for k, weight in enumerate(weights)}, share * (1 - sparsity)
    total = sum(weight.numel() for weight in weights)
    try:
        after = together(named, None, sparsity, floor=floor)
    except ValueError as error:  # by rounding up in every layer
        assert "keeps more than a sparsity of" in str(error)
        assert total * (1 - sparsity) - len(weights) <= floor * total + len(weights)
        return
    assert sum(int(mask.sum()) for mask in after.values()) == kept(total, sparsity)
    for name, mask in after.items():
        assert mask.sum() >= max(floor > 0, math.floor(floor * weights[int(name)].numel()))


def test_a_floor_brings_nothing_back():
    weight = torch.arange(1.0, 11)
    left = {"a": weight > 9, "b": weight > 0}
    after = together({"a": weight / 100, "b": weight}, left, 0.5, floor=0.3)
    assert after["a"].tolist() == left["a"].tolist()
    assert after["b"].sum() <= 9


def test_a_layer_that_is_missing_among_the_masks_is_whole():
    weights = {"a": torch.tensor([1.0, 2]), "b": torch.tensor([3.0, 4])}
    after = together(weights, {"b": torch.tensor([True, False])}, 0.5)
    assert {name: mask.tolist() for name, mask in after.items()} == {"a": [False, True], "b": [True, False]}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes(dtype):
    weight = torch.tensor([[0.5, -3], [1e-7, 0]], dtype=dtype)
    assert magnitude(weight, 0.5).tolist() == [[True, True], [False, False]]
    assert magnitude(weight, 0.25).tolist() == [[True, True], [True, False]]


def test_large_layers_keep_exactly_as_many():
    weight = torch.randn(700, 900, generator=torch.Generator().manual_seed(0))
    for sparsity in (0.1, 0.123456, 0.9, 0.98):
        once = magnitude(weight, sparsity)
        assert once.sum() == kept(630_000, sparsity)
        assert magnitude(weight, 0.99, once).sum() == 6_300


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_rejects_sparsities(value):
    with pytest.raises(ValueError, match="sparsity must be from 0 to 1"):
        magnitude(torch.ones(3, 2), value)
    with pytest.raises(ValueError, match="rate must be from 0 to 1"):
        as_published(torch.ones(3, 2), value)
    with pytest.raises(ValueError, match="floor must be from 0 to 1"):
        together({"a": torch.ones(3, 2)}, None, 0.5, floor=value)


def test_rejects_other_words_and_shapes():
    with pytest.raises(ValueError, match="of must be 'all' or 'survivors', not 'rest'"):
        magnitude(torch.ones(3, 2), 0.5, of="rest")
    for prune in (magnitude, as_published):
        with pytest.raises(ValueError, match=r"the mask has shape \(2, 3\), its weight \(3, 2\)"):
            prune(torch.ones(3, 2), 0.5, torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"the mask fc1 has shape \(2,\)"):
        together({"fc1": torch.ones(3)}, {"fc1": torch.ones(2)}, 0.5)
    with pytest.raises(ValueError, match=r"a floor of 0\.6 keeps more than a sparsity of 0\.5 does"):
        together({"a": torch.ones(10)}, None, 0.5, floor=0.6)
