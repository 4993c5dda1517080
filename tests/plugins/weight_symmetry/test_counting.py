"""What methods log and return of their masks' symmetry."""

import json
import math
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from widenet.masks import Fixed, attach
from widenet_weight_symmetry import counting
from widenet_weight_symmetry.counting import Counter
from widenet_weight_symmetry.propagate import propagate
from widenet_weight_symmetry.symmetry import count

SEVEN = {
    *("total_neurons", "unique_neurons", "zeroed_neurons", "permutations", "sparsity"),
    *("permutation_num_digits", "permutation_log10"),
}
WIDTHS = (5, 6, 7)
PARTS = ("fc1", "fc2", "fc3")


def network(*widths):
    """Linear layers fc1, fc2 and so on, of these widths, over 4 inputs, and a classifier, with norms and dropout."""
    net = nn.Sequential()
    for number, (inputs, width) in enumerate(zip((4, *widths), widths, strict=False), 1):
        net.add_module(f"fc{number}", nn.Linear(inputs, width))
        net.add_module(f"norm{number}", nn.BatchNorm1d(width))
        net.add_module(f"drop{number}", nn.Dropout(0.5))
    net.add_module("head", nn.Linear(widths[-1], 3))
    return net


@st.composite
def drawn(draw):
    """Masks of the three hidden layers, some of which have dead units."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    kept = draw(st.floats(0.05, 1))
    shapes = zip(WIDTHS, (4, *WIDTHS[:-1]), strict=True)
    return dict(zip(PARTS, (torch.rand(shape, generator=generator) < kept for shape in shapes), strict=True))


def with_head(masks):
    """The classifier reads all."""
    return {**masks, "head": torch.ones(3, WIDTHS[-1], dtype=torch.bool)}


def hidden_total(masks):
    """The total without the classifier's own units, as :func:`count` gives it layer by layer."""
    rows = [count(with_head(masks))["layers"][name] for name in PARTS]
    total = {key: sum(row[key] for row in rows) for key in ("total_neurons", "unique_neurons", "zeroed_neurons")}
    kept, size = sum(int(mask.sum()) for mask in masks.values()), sum(mask.numel() for mask in masks.values())
    return {**total, "permutations": math.prod(row["permutations"] for row in rows), "sparsity": 1 - kept / size}


@given(drawn())
def test_what_is_logged_is_the_count_of_the_hidden_layers(masks):
    logged = Counter(network(*WIDTHS), (4,)).logged("mask", masks)
    assert logged.keys() == {f"mask/{name}" for name in SEVEN}
    wanted = hidden_total(masks)
    permutations = wanted.pop("permutations")
    assert {name: logged[f"mask/{name}"] for name in wanted} == pytest.approx(wanted)
    assert logged["mask/permutations"] == str(permutations)
    assert logged["mask/permutation_num_digits"] == len(str(permutations))
    assert logged["mask/permutation_log10"] == pytest.approx(math.log10(permutations + 1))


@given(drawn())
def test_the_result_and_the_dead_layers(masks):
    counter, wanted = Counter(network(*WIDTHS), (4,)), hidden_total(masks)
    result = counter.result(masks)
    assert set(result) == {"sparsity", "unique_neurons", "zeroed_neurons", "log10_permutations"}
    assert {key: result[key] for key in ("sparsity", "unique_neurons", "zeroed_neurons")} == pytest.approx(
        {key: wanted[key] for key in ("sparsity", "unique_neurons", "zeroed_neurons")}
    )
    dead = [name for name in PARTS if count(with_head(masks))["layers"][name]["dead"]]
    assert counter.dead(masks) == dead
    assert bool(dead) == (wanted["permutations"] == 0)
    if not dead:
        assert result["log10_permutations"] == pytest.approx(math.log10(wanted["permutations"]))


@given(drawn())
def test_propagated_masks_are_those_of_the_chain(masks):
    before = {name: mask.clone() for name, mask in masks.items()}
    found, wanted = Counter(network(*WIDTHS), (4,)).propagated(masks), propagate(masks)
    assert list(found) == list(masks)
    assert all(torch.equal(found[name], wanted[name]) for name in masks)
    assert all(torch.equal(masks[name], before[name]) for name in masks), "the given ones are left alone"


def test_masks_of_some_layers_stay_alone():
    """A layer between them that has no mask passes everything on; that of a dead one too."""
    mask = torch.zeros(5, 4, dtype=torch.bool)
    mask[1:] = True
    third = torch.ones(7, 6, dtype=torch.bool)
    counter = Counter(network(*WIDTHS), (4,))
    found = counter.propagated({"fc1": mask, "fc3": third})
    assert list(found) == ["fc1", "fc3"]
    assert torch.equal(found["fc1"], mask)
    assert found["fc3"].all()
    assert counter.logged("a", {"fc1": mask, "fc3": third})["a/zeroed_neurons"] == 1


def test_a_dense_network_has_all_its_permutations():
    logged = Counter(network(*WIDTHS), (4,)).logged("mask")
    assert logged["mask/permutations"] == str(120 * 720 * 5040)
    assert (logged["mask/unique_neurons"], logged["mask/sparsity"]) == (3, 0)


def test_numbers_of_any_length_are_logged_as_text():
    """Those of 2000! squared are more than Python prints by itself."""
    log10 = 2 * math.lgamma(2001) / math.log(10)
    logged = Counter(network(2000, 2000), (4,)).logged("mask")
    digits = logged["mask/permutation_num_digits"]
    assert digits == len(logged["mask/permutations"]) == int(log10) + 1 > sys.get_int_max_str_digits()
    assert logged["mask/permutations"].isdigit()
    assert logged["mask/permutation_log10"] == pytest.approx(log10)
    assert json.loads(json.dumps(logged)) == logged


def test_without_masks_given_the_networks_own_are_counted():
    net = network(*WIDTHS)
    counter = Counter(net, (4,))
    attach(net, lambda name, weight: Fixed(torch.zeros_like(weight)) if name == "fc2" else None)
    assert counter.dead() == ["fc1", "fc2"], "the first has no reader"
    net.fc2.parametrizations.weight[0].mask.fill_(True)
    assert counter.dead() == []


def test_it_counts_again_only_where_masks_have_changed(monkeypatch):
    net, calls = network(*WIDTHS), []
    real = counting.count_spaces
    monkeypatch.setattr(counting, "count_spaces", lambda structure: calls.append(1) or real(structure))
    attach(net, lambda name, weight: Fixed(weight > 0) if name == "fc1" else None)
    counter = Counter(net, (4,))
    once = counter.result()
    assert (counter.result(), counter.dead(), len(calls)) == (once, [], 1)
    mask = net.fc1.parametrizations.weight[0].mask
    mask[0, 0] ^= True
    assert counter.result() != once
    mask[0, 0] ^= True
    assert counter.result() == once
    assert len(calls) == 3


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(training):
    net = network(*WIDTHS).train(training)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    stream = torch.get_rng_state()
    Counter(net, (4,)).logged("mask")
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(module.training == training for module in net.modules())
    assert torch.equal(torch.get_rng_state(), stream), "a run that counts draws the same numbers"
