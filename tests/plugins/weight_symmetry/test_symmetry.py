"""Counting on chains of masks: what it means, and what leaves it as it is."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widenet_weight_symmetry.symmetry import count, decimal_text, digits, stats

SIZES = st.lists(st.integers(1, 6), min_size=2, max_size=5)


def bits(*rows):
    return np.array([[bit == "1" for bit in row] for row in rows])


@st.composite
def chains(draw, sizes=SIZES):
    """Masks of linear layers, convolutions before a flattened map among them, with equal units planted."""
    widths = draw(sizes)
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    keep = draw(st.sampled_from([0.2, 0.5, 0.8, 1.0]))
    taps = draw(st.sampled_from([(), (1, 1), (2, 3)]))
    flat = draw(st.integers(1, 3)) if taps else 1
    last_conv = draw(st.integers(0, len(widths) - 2)) if taps else -1
    masks = {}
    for number, (inputs, units) in enumerate(itertools.pairwise(widths)):
        inputs *= flat if number == last_conv + 1 and number else 1
        shape = (units, inputs, *(taps if number <= last_conv else ()))
        mask = generator.random(shape) < keep
        masks[f"layer{number}"] = mask[generator.integers(0, units, units)] if generator.random() < 0.5 else mask
    return masks


def by_hand(masks):
    """Class sizes, zeroed and dead outgoing units of each layer, unit by unit."""
    found = []
    every = list(masks.values())
    for mask, following in zip(every, [*every[1:], None], strict=True):
        keys = []
        for unit in range(len(mask)):
            reads = mask[unit].ravel().tolist()
            if following is None:
                keys.append((reads, [True]))
            else:
                taps = following.reshape(len(following), len(mask), -1)[:, unit]
                keys.append((reads, taps.ravel().tolist()))
        alive = [(tuple(i), tuple(o)) for i, o in keys if any(i) and any(o)]
        zeroed = sum(not any(i) for i, _ in keys)
        found.append((sorted(Counter(alive).values()), zeroed, sum(any(i) and not any(o) for i, o in keys)))
    return found


@given(chains())
def test_counted_unit_by_unit(masks):
    counted = count(masks)
    for (sizes, zeroed, unread), (name, row) in zip(by_hand(masks), counted["layers"].items(), strict=True):
        assert row["total_neurons"] == len(masks[name])
        assert row["unique_neurons"] == len(sizes)
        assert row["zeroed_neurons"] == (zeroed if sizes else len(masks[name]))
        assert row["dead_outgoing"] == unread
        assert row["dead"] == (not sizes)
        assert row["permutations"] == (math.prod(map(math.factorial, sizes)) if sizes else 0)
        assert row["sparsity"] == pytest.approx(1 - masks[name].mean())
    total, rows = counted["total"], counted["layers"].values()
    for key in ("total_neurons", "unique_neurons", "zeroed_neurons", "dead_outgoing"):
        assert total[key] == sum(row[key] for row in rows)
    assert total["permutations"] == math.prod(row["permutations"] for row in rows)
    assert total["dead"] == any(row["dead"] for row in rows)
    kept, size = sum(mask.sum() for mask in masks.values()), sum(mask.size for mask in masks.values())
    assert total["sparsity"] == pytest.approx(1 - kept / size)


@given(chains(), st.integers(0, 2**32))
def test_the_order_of_units_does_not_matter(masks, seed):
    generator = np.random.default_rng(seed)
    permuted, before = {}, None
    for name, mask in masks.items():
        if before is not None:  # inputs follow the units they read, each with all its taps
            parts = mask.reshape(len(mask), len(before), -1, *mask.shape[2:])
            mask = parts[:, before].reshape(mask.shape)
        before = generator.permutation(len(mask))
        permuted[name] = mask[before]
    assert count(permuted) == count(masks)


@given(chains())
def test_logarithm_integer_and_digits_agree(masks):
    counted = count(masks)
    for row in counted["layers"].values():
        if not row["dead"]:
            assert row["log10_permutations"] == pytest.approx(math.log10(row["permutations"]), abs=1e-9)
    found = stats(counted["total"])
    assert found["permutation_num_digits"] == len(str(found["permutations"]))
    assert found["permutation_log10"] == math.log10(found["permutations"] + 1)


@given(chains())
def test_tensors_count_as_arrays_do(masks):
    assert count({name: torch.from_numpy(mask) for name, mask in masks.items()}) == count(masks)


FIRST = bits("10", "10", "01")
ZEROED = bits("10", "10", "00")
TABLE = [
    # layer 0, layer 1, unique, permutations, zeroed of layer 0 given layer 1
    (FIRST, bits("110", "001", "001", "000"), 2, 2, 0),
    (FIRST, bits("110", "011", "001", "000"), 3, 1, 0),
    (ZEROED, bits("110", "011", "001", "000"), 2, 1, 1),
    (bits("00", "00", "00"), bits("110", "011", "001", "000"), 0, 0, 3),
    (FIRST, bits("000", "000", "000", "000"), 0, 0, 3),
    (bits("100", "010", "001"), bits("111", "011", "111", "111"), 3, 1, 0),
]


@pytest.mark.parametrize(("first", "second", "unique", "permutations", "zeroed"), TABLE)
def test_a_layer_given_the_next(first, second, unique, permutations, zeroed):
    row = count({"a": first, "b": second})["layers"]["a"]
    assert (row["unique_neurons"], row["permutations"], row["zeroed_neurons"]) == (unique, permutations, zeroed)
    assert row["total_neurons"] == 3


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        (FIRST, bits("110", "001", "001", "000"), (4, 4, 1, 7)),
        (FIRST, bits("110", "011", "001", "000"), (6, 1, 1, 7)),
        (np.ones((16, 4), bool), np.ones((32, 16), bool), (2, math.factorial(16) * math.factorial(32), 0, 48)),
        (np.zeros((16, 4), bool), np.zeros((32, 16), bool), (0, 0, 48, 48)),
    ],
)
def test_a_whole_model(first, second, wanted):
    total = count({"a": first, "b": second})["total"]
    keys = ("unique_neurons", "permutations", "zeroed_neurons", "total_neurons")
    assert tuple(total[key] for key in keys) == wanted


@pytest.mark.parametrize("shape", [(16, 4), (16, 1, 3, 3)])
@pytest.mark.parametrize(("value", "wanted"), [(True, (1, math.factorial(16), 0)), (False, (0, 0, 16))])
def test_a_single_layer(shape, value, wanted):
    row = count({"a": np.full(shape, value)})["layers"]["a"]
    assert (row["unique_neurons"], row["permutations"], row["zeroed_neurons"]) == wanted


@pytest.mark.parametrize(("other", "unique", "permutations"), [("0110", 2, 5), ("0000", 1, 5)])
def test_two_kinds_of_unit(other, unique, permutations):
    row = count({"a": bits(*["1001"] * 5, *[other] * 11)})["layers"]["a"]
    eleven = math.factorial(11) if unique == 2 else 1
    assert (row["unique_neurons"], row["permutations"]) == (unique, math.factorial(permutations) * eleven)


def test_layers_keep_the_order_that_they_come_in():
    generator = np.random.default_rng(0)
    masks = {f"layer{number}": generator.random((4, 4)) < 0.5 for number in range(12)}
    counted = count(masks)
    assert list(counted["layers"]) == list(masks)  # a sort by name puts layer10 before layer2
    pair = count({"layer9": masks["layer9"], "layer10": masks["layer10"]})
    assert counted["layers"]["layer9"] == pair["layers"]["layer9"]


def test_nothing_is_known_across_a_layer_that_is_none():
    second = bits("110", "011", "001", "000")
    beside = count({"a": FIRST, "b": second})
    apart = count({"a": FIRST, "gap": None, "b": second})
    assert beside["layers"]["a"]["unique_neurons"] == 3
    assert apart["layers"]["a"] == count({"a": FIRST})["layers"]["a"]
    assert apart["layers"]["b"] == count({"b": second})["layers"]["b"]
    assert apart["layers"]["gap"]["permutations"] == 1
    assert apart["total"]["total_neurons"] == 7


def test_all_taps_of_a_convolution_count():
    first = np.ones((4, 1, 3, 3), bool)
    second = np.ones((5, 4, 3, 3), bool)
    assert count({"a": first, "b": second})["layers"]["a"]["permutations"] == 24
    second[2, 1, 0, 2] = False
    assert count({"a": first, "b": second})["layers"]["a"]["permutations"] == 6


def test_a_flattened_map_is_read_channel_by_channel():
    first = np.ones((2, 1, 3, 3), bool)
    second = bits("101101", "111111")
    assert count({"a": first, "b": second})["layers"]["a"]["permutations"] == 2
    assert count({"a": first, "b": bits("110011", "111111")})["layers"]["a"]["permutations"] == 1


def test_a_masked_bias_tells_units_apart():
    masks = {"a": np.ones((3, 2), bool), "a.bias": np.array([True, True, False]), "b": np.ones((2, 3), bool)}
    counted = count(masks)
    assert list(counted["layers"]) == ["a", "b"]
    assert counted["layers"]["a"]["permutations"] == 2
    masks["a"] = np.array([[False, False], [True, True], [True, True]])
    assert count(masks)["layers"]["a"]["zeroed_neurons"] == 1  # a bias is no connection


def test_no_layers():
    assert count({})["total"]["permutations"] == 1
    assert count({"a": np.ones((0, 3), bool), "b": np.ones((2, 0), bool)})["layers"]["a"]["dead"] is False


@given(st.integers(0, 10**40))
def test_digits_and_text_as_python_writes_them(number):
    assert digits(number) == len(str(number))
    assert decimal_text(number) == str(number)


@pytest.mark.parametrize("power", [1, 15, 16, 17, 300, 400, 5000])
def test_digits_beside_powers_of_ten(power):
    assert [digits(10**power - 1), digits(10**power), digits(10**power + 1)] == [power, power + 1, power + 1]
    assert decimal_text(10**power) == "1" + "0" * power
