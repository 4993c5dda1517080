"""Layers and chunks on which a regression degenerates: every value is defined, or NaN for a reason that is given."""

import attrs
import numpy as np
import pytest
import torch
from made_layers import gram_of, layer, textbook

from widenet_redundant_repr import chunks
from widenet_redundant_repr.chunks import chunk_statistics, held_out_r2, nested_r2, undefined

TOLERANCE = {"rtol": 0, "atol": 1e-8}


def statistics(x, chunk):
    return attrs.astuple(chunk_statistics(gram_of(x), chunk))


def test_the_whole_layer_explains_itself_without_work(monkeypatch):
    monkeypatch.setattr(chunks, "solved", None)
    found = statistics(layer(50, 4, 0), [2, 0, 3, 1])
    np.testing.assert_equal(found, (1, np.nan, 0, np.nan))
    assert undefined(gram_of(layer(50, 4, 0)), 4) == "no neuron is outside the chunk"


def test_one_neuron_outside_has_no_pair():
    found = statistics(layer(50, 4, 0), [2, 0, 3])
    assert 0 < found[1] < found[0] < 1
    np.testing.assert_equal(found[2:], (0, np.nan))
    assert "no pairs" in undefined(gram_of(layer(50, 4, 0)), 3)


def test_constant_neurons_count_for_nothing():
    x = layer(200, 8, 0)
    padded = np.insert(x, [0, 3, 8], [[0.0, 0.1, -7e5]], axis=1)  # now at 0, 4 and 10
    kept = np.delete(np.arange(11), [0, 4, 10])
    plain, with_constants = statistics(x, [0, 1, 2]), statistics(padded, [4, *kept[:3]])
    np.testing.assert_allclose(with_constants[:2], plain[:2], **TOLERANCE)
    assert with_constants[2] * (11 * 10) == pytest.approx(plain[2] * (8 * 7))
    assert with_constants[3] * (7 * 6) == pytest.approx(plain[3] * (5 * 4))
    only_constants = statistics(padded, [0, 4])
    assert only_constants[0] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(only_constants[3] * (9 * 8), np.abs(np.corrcoef(x.T) - np.eye(8)).sum(), rtol=1e-7)


def test_a_constant_layer_has_nothing_to_explain():
    x = np.tile([0.1, 3.0, -7e5], (20, 1))
    np.testing.assert_equal(statistics(x, [1]), (np.nan, np.nan, 0, 0))
    np.testing.assert_equal(statistics(x, [0, 1, 2]), (np.nan, np.nan, 0, np.nan))
    assert np.isnan(nested_r2(gram_of(x), [2, 0, 1])).all()
    assert np.isnan(held_out_r2(gram_of(layer(20, 3, 0)), gram_of(x), [0]))
    assert "constant" in undefined(gram_of(x), 1)


def test_constants_outside_the_chunk_leave_nothing_unexplained():
    x = layer(30, 4, 0)
    x[:, 2:] = 5
    assert statistics(x, [0, 1]) == (1, 1, 0, 0)


@pytest.mark.parametrize("scale", [1e-2, 1, 1e4, 1e8])
def test_copies_and_combinations_change_nothing(scale):
    """With a large scale the penalty is lost in rounding, and the plain factorisation fails or is noise."""
    x = layer(300, 12, 0, noise=0.5) * scale
    x[:, 6:9], x[:, 9] = x[:, :3], 2 * x[:, 0] - x[:, 1] + 5
    expected = textbook(x, [0, 1, 2])
    for chunk in ([0, 1, 2], [0, 1, 2, 6, 7, 8, 9], [9, 8, 7, 6, 0]):
        found = statistics(x, chunk)
        np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-7)
        np.testing.assert_allclose(found[2], expected[2], rtol=0, atol=1e-7)
    order = [9, 0, 1, 6, 7, 2, 8, 3, 4, 5, 10, 11]
    found = nested_r2(gram_of(x), order)
    np.testing.assert_allclose(found, [statistics(x, order[:c])[0] for c in range(1, 13)], rtol=0, atol=1e-7)
    np.testing.assert_allclose(found[5:7], expected[0], rtol=0, atol=1e-7)


def test_one_failure_leaves_the_other_chunks_of_a_group_alone():
    x = layer(300, 12, 0) * 1e8
    x[:, 6:9] = x[:, :3]
    gram, indices = gram_of(x), torch.tensor([[0, 6, 1], [3, 4, 5], [8, 2, 7]])
    together = [attrs.astuple(found) for found in chunks._statistics(gram, indices)]
    np.testing.assert_allclose(together, [statistics(x, chunk) for chunk in indices], rtol=0, atol=1e-10)


@pytest.mark.parametrize("c", [9, 10, 15])
def test_more_neurons_than_samples_explain_everything(c):
    x = layer(10, 20, 0, noise=1)
    found = statistics(x, np.arange(c))
    np.testing.assert_allclose(found[:2], 1, rtol=0, atol=1e-7)
    assert np.isnan(found[2:]).all()
    np.testing.assert_allclose(nested_r2(gram_of(x), np.arange(20))[8:], 1, rtol=0, atol=1e-7)
    assert undefined(gram_of(x), c) == f"10 samples are too few to tell residuals of {c} neurons apart; {c + 2} would do"
    assert undefined(gram_of(x), 8) == ""
    assert not np.isnan(statistics(x, np.arange(8))).any()


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_samples(count):
    x = layer(count, 3, 0)
    found = statistics(x, [0])
    assert np.isnan(found).all()
    assert undefined(gram_of(x), 1)


def test_a_layer_of_one_neuron():
    found = statistics(layer(50, 1, 0), [0])
    np.testing.assert_equal(found, (1, np.nan, 0, np.nan))
    assert nested_r2(gram_of(layer(50, 1, 0)), [0]).tolist() == [1]


def test_a_neuron_cannot_be_drawn_twice():
    with pytest.raises(ValueError, match="names a neuron twice"):
        statistics(layer(20, 4, 0), [1, 1])
