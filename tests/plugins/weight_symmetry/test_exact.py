"""The exact count: against the oracles, and against every permutation tried out."""

import contextlib
import itertools
import math

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_masks import arrays, chained, read
from test_symmetry import bits, chains

from widenet import UsageError, WnError
from widenet_weight_symmetry import bliss, exact
from widenet_weight_symmetry.chain import chain
from widenet_weight_symmetry.structure import FIRST, Layer, Space, Structure
from widenet_weight_symmetry.symmetry import count, count_spaces

pytest.importorskip("igraph", reason="igraph, which counts automorphisms, is not installed")
MASKS = arrays("counts_masks")
KEY = "exact_automorphism_log10_alive_last_layer_permutable"
CASES = {name: case for name, case in read("counts").items() if KEY in case}


@contextlib.contextmanager
def counted_here():
    """Count in this process: one of its own for every example takes too long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "_counted", lambda graph, end: bliss.count(graph.edges, graph.colours))
        yield


@pytest.fixture
def here():
    with counted_here():
        yield


def fixed_outputs(structure):
    """The structure with the units of its last layer in no space."""
    return attrs.evolve(structure, spaces=structure.spaces[:-1])


@pytest.mark.parametrize("name", CASES)
def test_oracles(name, here):
    case = CASES[name]
    structure = chain(chained({layer: MASKS[f"{name}/{layer}"] for layer in case["layers"]}))
    found = exact.automorphisms(structure, 60)
    assert found.complete
    assert found.log10 == pytest.approx(case[KEY], abs=1e-9)
    if brute := case.get("brute_force_automorphisms"):
        assert found.number == brute["last_layer_permutable"]
        assert exact.automorphisms(fixed_outputs(structure), 60).number == brute["last_layer_fixed"]


def every_permutation(masks):
    """Permutations of units, alike in all layers that they meet in, that leave the masks without dead units as they are."""
    layers = list(masks.values())
    alive = []
    for mask, following in zip(layers, [*layers[1:], None], strict=True):
        own = mask.reshape(len(mask), -1).any(1)
        alive.append(own if following is None else own & following.reshape(len(following), len(mask), -1).any((0, 2)))
    states = {tuple(range(layers[0].shape[1])): 1}
    before = np.ones(layers[0].shape[1], bool)
    for mask, living in zip(layers, alive, strict=True):
        parts = mask.reshape(len(mask), len(before), -1)[living][:, before]
        following = {}
        for order, ways in states.items():
            for other in itertools.permutations(range(len(parts))):
                if np.array_equal(parts[list(other)][:, list(order)], parts):
                    following[other] = following.get(other, 0) + ways
        states, before = following, living
    return sum(states.values())


SMALL = st.lists(st.integers(1, 5), min_size=2, max_size=4)
WIDE = st.tuples(st.integers(1, 4), st.integers(6, 7), st.integers(1, 2)).map(list)


@given(st.one_of(chains(SMALL), chains(WIDE)))
@settings(max_examples=60)
def test_as_many_as_there_are(masks):
    with counted_here():
        found = exact.automorphisms(chain(masks), 60)
    assert found.number == every_permutation(masks)
    assert found.log10 == pytest.approx(math.log10(found.number), abs=1e-9)
    assert found.log10 >= count(masks)["total"]["log10_permutations"] - 1e-9


def test_units_that_must_move_together(here):
    one_to_one = {"a": bits("1", "1"), "b": bits("10", "01"), "c": bits("11", "11")}
    assert count(one_to_one)["total"]["permutations"] == 2
    assert exact.automorphisms(chain(one_to_one), 60).number == 4


def square(mask, **layer):
    """A structure of one space whose units read each other, as in a block x + layer(x)."""
    n = len(mask)
    numbers = np.arange(FIRST, FIRST + n)
    every = {"self": Layer("self", n, n, FIRST, reads=(numbers,), mask=torch.from_numpy(mask), **layer)}
    whole = np.arange(n)[:, None]
    return Structure(every, (Space("self", {"self": whole}, {"self": whole}),), numbers, FIRST + n)


@given(st.integers(1, 5), st.integers(0, 2**32), st.sampled_from([0.3, 0.6, 1.0]))
@settings(max_examples=60)
def test_units_that_read_each_other(n, seed, keep):
    mask = np.random.default_rng(seed).random((n, n)) < keep
    mask |= np.eye(n, dtype=bool)[np.random.default_rng(seed).integers(0, n, n)]  # every unit reads something
    with counted_here():
        found = exact.automorphisms(square(mask), 60)
    orders = map(list, itertools.permutations(range(n)))
    assert found.number == sum(np.array_equal(mask[order][:, order], mask) for order in orders)
    assert found.log10 >= count_spaces(square(mask))["total"]["log10_permutations"] - 1e-9


def test_fixed_spaces_and_masked_biases_stay(here):
    structure = chain({"a": np.ones((4, 2), bool), "b": np.ones((3, 4), bool)})
    assert exact.automorphisms(structure, 60).number == 24 * 6
    first, second = structure.spaces
    held = attrs.evolve(structure, spaces=(attrs.evolve(first, fixed="so"), second))
    assert exact.automorphisms(held, 60).number == 6
    masks = {**{name: layer.mask for name, layer in structure.layers.items()}, "a.bias": torch.arange(4) > 0}
    assert exact.automorphisms(structure.masked(masks), 60).number == 6 * 6


def test_a_dead_layer_is_left_out(here):
    found = exact.automorphisms(chain({"a": np.zeros((3, 2), bool), "b": np.ones((2, 3), bool)}), 60)
    assert (found.log10, found.number) == (pytest.approx(math.log10(2)), 2)
    assert exact.automorphisms(chain({"a": np.zeros((3, 2), bool)}), 60) == (0.0, 1, True)
    assert exact.automorphisms(chain({}), 60) == (0.0, 1, True)


def test_in_a_process_of_its_own():
    ring = np.roll(np.eye(30, dtype=bool), 1, axis=1) | np.eye(30, dtype=bool)
    masks = {"a": np.ones((30, 1), bool), "b": ring, "c": np.ones((2000, 30), bool)}
    found = exact.automorphisms(chain(masks), 60)
    assert found.complete
    assert found.number == 60 * math.factorial(2000)  # a number that Python by itself does not read from text
    assert exact._number("9" * 5000) == 10**5000 - 1


PLANTED = {"a": bits("1", "1", "1"), "b": bits("111", "110")}


def test_at_the_limit_what_twins_give_stands(monkeypatch, tmp_path):
    asleep = tmp_path / "asleep.py"
    asleep.write_text("import time\ntime.sleep(60)\n")
    twins = pytest.approx(count(PLANTED)["total"]["log10_permutations"])
    assert exact.automorphisms(chain(PLANTED), 0) == (twins, None, False)
    monkeypatch.setattr(exact, "WORKER", asleep)
    assert exact.automorphisms(chain(PLANTED), 0.2) == (twins, None, False)


def test_a_graph_that_does_not_fit_is_not_tried(monkeypatch):
    from widenet_weight_symmetry import coloured

    monkeypatch.setattr(coloured, "LARGEST", 1)
    assert not exact.automorphisms(chain(PLANTED), 60).complete


def test_a_process_that_fails_is_one_line(monkeypatch, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("raise RuntimeError('out of sorts')\n")
    monkeypatch.setattr(exact, "WORKER", broken)
    with pytest.raises(WnError, match=r"igraph could not count the automorphisms \(RuntimeError: out of sorts\)"):
        exact.automorphisms(chain(PLANTED), 60)
    broken.write_text("import os\nos.kill(os.getpid(), 9)\n")
    assert not exact.automorphisms(chain(PLANTED), 60).complete


def test_without_igraph_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(exact.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'widenet-weight-symmetry\[exact\]'"):
        exact.automorphisms(chain(PLANTED), 60)
