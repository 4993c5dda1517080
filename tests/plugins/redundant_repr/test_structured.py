"""Chosen chunks: on layers whose groups and ranks are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_layers import gram_of, layer

from widenet_redundant_repr.chunks import nested_r2
from widenet_redundant_repr.structured import greedy, kmeans_groups, largest_norm, representatives


def clones(groups=4, each=5, noise=0.05, seed=0):
    """Neurons in groups that carry the same signal with noise and at their own scale, shuffled; and the group of each."""
    rng = np.random.default_rng(seed)
    member = rng.permutation(np.repeat(np.arange(groups), each))
    signals = rng.normal(size=(500, groups))[:, member]
    scales = rng.uniform(0.1, 10, size=len(member))
    return (signals + noise * rng.normal(size=signals.shape)) * scales + 3, member


def test_norms_are_centred_and_ties_in_order():
    x = np.random.default_rng(0).normal(size=(100, 1)) * [1, 3, 0, 3, 2] + [0, 0, 99, 0, 0]
    assert largest_norm(gram_of(x)).tolist() == [1, 3, 4, 0, 2]


def stepwise(x):
    """Greedy by hand: the column with the largest norm, projected out of all, again and again."""
    left, order = x - x.mean(0), []
    for _ in range(x.shape[1]):
        norms = (left**2).sum(0)
        norms[order] = -1
        order.append(int(norms.argmax()))
        unit = left[:, order[-1]] / np.linalg.norm(left[:, order[-1]])
        left = left - np.outer(unit, unit @ left)
    return order


@settings(max_examples=40)
@given(width=st.integers(1, 12), seed=st.integers(0, 999))
def test_greedy_takes_what_is_explained_least(width, seed):
    x = layer(60, width, seed)
    assert greedy(gram_of(x)).tolist() == stepwise(x)


def test_greedy_takes_one_of_each_group_first():
    x, member = clones()
    order = greedy(gram_of((x - 3) / x.std(0)))
    assert sorted(member[order[:4]]) == [0, 1, 2, 3]
    assert nested_r2(gram_of(x / x.std(0)), order)[3] > 0.98


def test_greedy_leaves_explained_and_constant_neurons_for_last():
    x = layer(100, 6, 0)
    x[:, 1], x[:, 4] = 7, 3 * x[:, 0] - x[:, 2] + x[:, 3]
    order = greedy(gram_of(x)).tolist()
    assert sorted(order) == list(range(6))
    assert order[5] == 1
    assert order[4] in (0, 2, 3, 4)
    assert greedy(gram_of(np.ones((9, 3)))).tolist() == [0, 1, 2]


def test_kmeans_finds_the_groups():
    x, member = clones()
    found = kmeans_groups(gram_of(x), 4, seed=0)
    assert sorted(group.tolist() for group in found) == sorted(np.flatnonzero(member == group).tolist() for group in range(4))
    assert sorted(member[representatives(gram_of(x), 4, seed=0)]) == [0, 1, 2, 3]


def test_the_representative_is_nearest_to_its_group():
    rng = np.random.default_rng(1)
    signal, noise = rng.normal(size=(400, 1)), rng.normal(size=(400, 9))
    x = signal + noise * np.array([1, 1, 1, 0.01, 1, 1, 1, 1, 1])
    assert representatives(gram_of(x), 1, seed=0).tolist() == [3]


@pytest.mark.parametrize("c", [1, 3, 7])
def test_fewer_different_neurons_than_groups(c):
    x = np.repeat(layer(50, 2, 0), [3, 3], axis=1)
    x = np.column_stack([x, np.full(50, 4.0)])
    groups, chosen = kmeans_groups(gram_of(x), c, seed=0), representatives(gram_of(x), c, seed=0)
    assert sorted(np.concatenate(groups).tolist()) == list(range(7))
    assert 1 <= len(groups) <= c
    assert all(len(group) for group in groups)
    assert len(set(chosen.tolist())) == c


def test_a_constant_layer_is_one_group():
    gram = gram_of(np.ones((9, 3)))
    assert [group.tolist() for group in kmeans_groups(gram, 2, seed=0)] == [[0, 1, 2]]
    assert representatives(gram, 2, seed=0).tolist() == [0, 1]


def test_the_seed_settles_the_groups():
    gram = gram_of(layer(100, 30, 0, noise=2))
    first, again, other = ([group.tolist() for group in kmeans_groups(gram, 8, seed)] for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("k", [0, 5])
def test_there_are_as_many_groups_as_neurons_at_most(k):
    with pytest.raises(ValueError, match="n_clusters"):
        kmeans_groups(gram_of(layer(20, 4, 0)), k, seed=0)
