"""Chunks of every size at once against the same chunks one by one."""

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_layers import gram_of, layer

from widenet.capture import ReadOut
from widenet.kernels.gram import Gram
from widenet_redundant_repr.chunks import batch_statistics, held_out_r2
from widenet_redundant_repr.nested import Nested, nested_errors, nested_held_out, nested_statistics
from widenet_redundant_repr.readout import Refitted, Sliced, chunk_errors, with_targets

EXACT = {"rtol": 0, "atol": 1e-8}


def prefixes(order):
    return [order[:c] for c in range(1, len(order) + 1)]


def permutation(width, seed=0):
    return torch.randperm(width, generator=torch.Generator().manual_seed(seed))


def one_by_one(gram, order):
    found = [attrs.asdict(batch_statistics(gram, chunk[None])[0]) for chunk in prefixes(order)]
    return {name: [each[name] for each in found] for name in found[0]}


def agree(x, order):
    """Returns the statistics, once they are those of the prefixes."""
    gram = gram_of(x)
    found, expected = nested_statistics(gram, order), one_by_one(gram, order)
    assert found.keys() == expected.keys()
    well = max(2, len(x) // 2)  # sizes beyond leave residuals so small that the rounding of the whole matrix shows in them
    for name in expected:
        atol = 1e-8 if name.startswith("r2") else 1e-5
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=atol, err_msg=name)
        np.testing.assert_allclose(found[name][:well], expected[name][:well], err_msg=name, **EXACT)
    return found


def with_constants(x, columns):
    """``x`` with some columns, counted round, constant."""
    for column in columns:
        x[:, column % x.shape[1]] = 0.1 * column
    return x


@given(st.integers(0, 2**32), st.integers(1, 14), st.integers(0, 40), st.sets(st.integers(0, 13)))
def test_statistics_of_any_layer(seed, width, count, constant):
    """Also of few samples, and of constant neurons."""
    agree(with_constants(layer(count, width, seed), constant), permutation(width, seed))


@given(st.integers(0, 2**32), st.integers(6, 14), st.integers(20, 40))
def test_statistics_of_copies(seed, width, count):
    """Neurons that repeat one another, in any place."""
    x = layer(count, width, seed)
    x[:, 1:3] = x[:, :1]
    agree(x, permutation(width, seed))


def test_statistics_of_a_wide_layer():
    found = agree(layer(500, 40, 0), permutation(40))
    assert found["r2"][-1] == pytest.approx(1)
    assert (np.diff(found["r2"]) > 0).all()
    assert np.isnan(found["r2_out"][-1])
    assert np.isnan(found["correlation_out"][-2:]).all()
    assert found["correlation"][-2:].tolist() == [0, 0]


@pytest.mark.parametrize("last", [0.0, 0.1, -7e5])
def test_constants_outside_leave_nothing_unexplained(last):
    x = layer(60, 9, 0)
    x[:, 6:] = last
    found = agree(x, torch.arange(9))
    assert found["r2_out"][5:8].tolist() == [1, 1, 1]


def test_a_quiet_neuron_outside_is_explained_as_far_as_it_is():
    x = layer(60, 6, 0)
    x[:, 5] *= 1e-5
    agree(x, torch.arange(6))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 8, 9])
def test_more_neurons_than_samples_leave_no_correlation(count):
    found = agree(layer(count, 9, 0, noise=1), permutation(9))
    undefined = np.arange(1, 10) > count - 2
    undefined[-1] = False  # the whole layer has no residuals
    assert (np.isnan(found["correlation"]) == undefined).all()


def held_out(x, other, order):
    found = nested_held_out(gram_of(x), gram_of(other), order)
    expected = [held_out_r2(gram_of(x), gram_of(other), chunk) for chunk in prefixes(order)]
    return found, expected


@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(14, 60), st.integers(1, 30))
def test_held_out_of_any_layer(seed, width, count, others):
    x = layer(count + others, width, seed)
    x, other = x[:count] * 10, x[count:] * 10 + 1  # a larger scatter loses the penalty
    found, expected = held_out(x, other, permutation(width, seed))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


def test_held_out_with_constants_and_copies():
    x = layer(300, 12, 0) * 10
    x[:, 3], x[:, 7:9] = 4.0, x[:, :2]
    x, other = x[:200], x[200:]
    other[:, 3] = 5.0
    found, expected = held_out(x, other, permutation(12))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    other[:] = 1.0
    assert np.isnan(held_out(x, other, permutation(12))).all()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [3, 6])
def test_held_out_of_fits_to_fewer_samples_than_neurons(count, seed):
    """Where the samples leave weights open the penalty decides, to fewer digits."""
    x = layer(count + 20, 8, seed) * 10
    found, expected = held_out(x[:count], x[count:], permutation(8, seed))
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-2)


def data(count=90, width=24, classes=4, seed=0):
    """Features, labels and a read-out whose bias matters."""
    draw = np.random.default_rng(seed)
    x = torch.from_numpy(layer(count, width, seed)).float()
    y = torch.from_numpy(draw.integers(max(classes, 2), size=count))
    weight, bias = (torch.from_numpy(draw.normal(size=shape)).float() for shape in ((classes, width), classes))
    return x, y, ReadOut(path="fc", weight=weight, bias=bias)


def targets_gram(x, y, classes):
    gram = Gram(x.shape[1] + classes)
    gram.update(with_targets(x, y, classes))
    return gram


def errors_agree(x, y, head, orders, tolerance=1e-5):
    """In batches that nobody would choose; returns the nested errors of the three read-outs."""
    classes = len(head.weight)
    gram = targets_gram(x, y, classes)
    nested = [
        *(Nested(order, head) for order in orders),
        *(Nested(order, head, rescaled=True) for order in orders),
        *(Nested(order, None, gram) for order in orders),
    ]
    found = nested_errors(zip(x.split(7), y.split(7), strict=True), nested)
    under = {
        "trained": Sliced(head.weight, head.bias),
        "rescaled": Sliced(head.weight, head.bias, rescaled=True),
        "refitted": Refitted(gram, classes),
    }
    expected = chunk_errors([(x, y)], [chunk for order in orders for chunk in prefixes(order)], under)
    wanted = np.concatenate([expected[name].reshape(len(orders), -1, 2) for name in under])
    np.testing.assert_allclose(found[..., 0], wanted[..., 0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found[..., 1], wanted[..., 1], rtol=tolerance, atol=tolerance)
    return dict(zip(under, np.split(found, 3), strict=True))


@pytest.mark.parametrize("classes", [4, 2, 1])
def test_errors_of_every_prefix(classes, monkeypatch):
    monkeypatch.setattr("widenet_redundant_repr.nested.ENTRIES", 500)  # several blocks a batch
    x, y, head = data(classes=classes)
    found = errors_agree(x, y, head, [permutation(24, seed) for seed in (1, 2)])
    np.testing.assert_allclose(found["trained"][:, -1], found["rescaled"][:, -1], rtol=1e-6)
    assert not np.allclose(found["trained"][:, 3], found["rescaled"][:, 3])
    assert found["refitted"][:, -1, 0].mean() < found["trained"][:, -1, 0].mean()


@pytest.mark.parametrize("classes", [3, 1])
def test_errors_with_constants_and_copies(classes):
    x, y, head = data(classes=classes)
    x[:, 5], x[:, 9:12] = 7.0, x[:, :3]
    errors_agree(x, y, head, [torch.arange(24), permutation(24)], tolerance=1e-4)


def test_errors_of_fits_to_fewer_samples_than_neurons():
    x, y, head = data(count=10)
    errors_agree(x, y, head, [permutation(24, seed) for seed in range(3)], tolerance=1e-3)


def test_a_binary_output_of_0_is_wrong():
    head = ReadOut(path="fc", weight=torch.tensor([[1.0, 1.0]]), bias=torch.zeros(1))
    x, y = torch.tensor([[0.0, 2.0], [0.0, -0.5]]), torch.tensor([1, 0])
    found = nested_errors([(x, y)], [Nested(torch.tensor([0, 1]), head)])[0]
    assert found.tolist() == [[1.0, 0.5], [0.0, 0.0625]]
