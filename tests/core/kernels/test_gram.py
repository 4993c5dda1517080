"""Gram matrices against NumPy's own sums, however the samples are cut, and residual correlations against every entry."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from widenet.kernels import _residual_torch, gram
from widenet.kernels.gram import EPSILON, Gram, correlation_sums, residual_scatter


def samples(n, width, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    mixed = (
        torch.randn(n, width, generator=generator, dtype=torch.float64)
        @ torch.randn(width, width, generator=generator).double()
    )
    return (mixed + torch.arange(width)).to(dtype)


def made(x):
    found = Gram(x.shape[1])
    found.update(x)
    return found


def assert_sums(found, x):
    x = np.asarray(x, dtype=np.float64)
    centred = x - x.mean(0)
    assert found.count == len(x)
    np.testing.assert_allclose(found.mean, x.mean(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.scatter, centred.T @ centred, rtol=1e-11, atol=1e-11 * len(x))
    assert torch.equal(found.scatter, found.scatter.T)


@settings(max_examples=60)
@given(
    cuts=st.lists(st.integers(0, 12), min_size=1, max_size=6).filter(any),
    width=st.integers(1, 9),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16]),
    array=st.booleans(),
)
def test_any_cut_into_updates_and_shards_gives_the_same(cuts, width, dtype, array):
    x = samples(sum(cuts), width, dtype=dtype)
    parts = [part.numpy() if array and dtype != torch.bfloat16 else part for part in x.split(cuts)]
    whole, updated, merged = made(x), Gram(width), Gram(width)
    for part in parts:
        updated.update(part)
        merged.merge(made(part))
    for found in (whole, updated, merged):
        assert_sums(found, x.double())


@pytest.mark.parametrize("width", [1, 255, 256, 257, 600])
def test_blocks_of_rows_and_bands_of_columns_meet(width, monkeypatch):
    monkeypatch.setattr(gram, "ROWS", 7)
    x = samples(40, width)
    assert_sums(made(x), x)
    assert made(x).scatter.dtype == made(x).mean.dtype == torch.float64


def test_scatter_is_current_between_updates():
    x, found = samples(50, 300), Gram(300)
    for stop in (20, 21, 50):
        found.update(x[found.count : stop])
        assert_sums(found, x[:stop])


def test_a_large_mean_costs_no_digits():
    x = samples(3000, 4) + 1e6
    centred = (x - x[0]).numpy()
    np.testing.assert_allclose(made(x).scatter, np.cov(centred.T) * 2999, rtol=1e-9)


@given(value=st.floats(-1e30, 1e30), cuts=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_a_constant_column_has_no_scatter_at_all(value, cuts):
    x = samples(sum(cuts), 3)
    x[:, 1] = value
    found = Gram(3)
    for part in x.split(cuts):
        found.merge(made(part))
    assert not found.scatter[1].any()
    assert not found.scatter[:, 1].any()
    assert found.mean[1] == value


def test_no_samples_change_nothing():
    x, empty = samples(9, 3), Gram(3)
    empty.update(np.zeros((0, 3), dtype=np.float32))
    assert empty.count == 0
    assert not empty.scatter.any()
    found = made(x)
    found.merge(empty)
    assert_sums(found, x)
    empty.merge(found)
    assert_sums(empty, x)


def test_samples_may_be_read_only_and_stay_as_they_are():
    x = samples(30, 5).numpy()
    x.flags.writeable = False
    assert_sums(made(x[::-1]), x)
    tensor = samples(30, 5).requires_grad_()
    before = tensor.detach().clone()
    assert not made(tensor).scatter.requires_grad
    assert torch.equal(tensor, before)


def test_columns_in_any_order():
    x = samples(30, 5)
    for index in (torch.tensor([3, 0, 4]), slice(1, 4), torch.tensor([], dtype=torch.int64)):
        found = made(x).columns(index)
        assert found.count == 30
        torch.testing.assert_close(found.mean, x.mean(0)[index])
        torch.testing.assert_close(found.scatter, made(x).scatter[index][:, index])
    picked = made(x).columns(slice(0, 2))
    picked.update(x[:7, :2])
    assert_sums(picked, torch.cat([x[:, :2], x[:7, :2]]))


def test_sums_make_a_gram_again():
    x = samples(30, 5)
    first = made(x[:20])
    again = Gram.of(first.count, first.mean, first.scatter)
    again.update(x[20:])
    assert_sums(again, x)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(2, 4), r"must be \(n, 3\), not \(2, 4\)"),
        (torch.zeros(3), r"must be \(n, 3\), not \(3,\)"),
        (torch.tensor([[0.0, 1, 2], [0, float("nan"), 2]]), "must be finite"),
        (np.array([[0.0, 1, 2], [0, -np.inf, 2]]), "must be finite"),
    ],
    ids=["width", "dimensions", "nan", "infinite"],
)
def test_bad_samples_are_named(x, message):
    found = Gram(3)
    with pytest.raises(ValueError, match=message):
        found.update(x)
    assert found.count == 0
    assert not found.scatter.any()


def test_a_gram_of_another_width_cannot_be_merged():
    with pytest.raises(ValueError, match="a Gram of 3 columns cannot take in one of 4"):
        Gram(3).merge(Gram(4))


def textbook(x, chunk):
    """Absolute residual correlations of all pairs of the other columns, by least squares on the samples."""
    outside = [j for j in range(x.shape[1]) if j not in chunk]
    design = np.column_stack([x[:, chunk], np.ones(len(x))])
    residuals = x[:, outside] - design @ np.linalg.lstsq(design, x[:, outside], rcond=None)[0]
    covariance = np.atleast_2d(np.cov(residuals.T))
    roots = np.sqrt(covariance.diagonal())
    return np.abs(covariance / (np.outer(roots, roots) + EPSILON))[np.triu_indices(len(outside), 1)]


def explained(found, chunk):
    """The columns outside the chunk, what it explains of them, and their residual scatter."""
    outside = torch.tensor([j for j in range(len(found.mean)) if j not in chunk], dtype=torch.int64)
    lower = torch.linalg.cholesky(found.scatter[chunk][:, chunk])
    y = torch.linalg.solve_triangular(lower, found.scatter[chunk][:, outside], upper=False)
    return outside, y, residual_scatter(found.scatter, outside, y)


@settings(max_examples=60)
@given(width=st.integers(2, 40), data=st.data(), rows=st.integers(1, 40), scale=st.sampled_from([1, 1e-3]))
def test_sums_of_residual_correlations_match_the_samples(width, data, rows, scale):
    chunk = data.draw(st.permutations(range(width)))[: data.draw(st.integers(1, width - 1))]
    x = samples(100, width, data.draw(st.integers(0, 99))) * scale
    found = made(x)
    outside, y, residual = explained(found, chunk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_residual_torch, "ROWS", rows)
        total, pairs = correlation_sums(found.scatter, outside, y, residual, found.count)
    expected = textbook(x.numpy(), chunk)
    assert pairs == len(expected)
    assert total == pytest.approx(expected.sum(), rel=1e-6, abs=1e-8)


def test_columns_that_are_explained_or_constant_have_no_correlation():
    x = samples(100, 6)
    x[:, 4], x[:, 5] = 2 * x[:, 0] - x[:, 1], 7
    found = made(x)
    outside, y, residual = explained(found, [0, 1])
    assert residual[:2].min() > 0
    assert residual[2:].tolist() == [0, 0]
    total, pairs = correlation_sums(found.scatter, outside, y, residual, found.count)
    assert pairs == 6
    assert total == pytest.approx(textbook(x[:, :4].numpy(), [0, 1]).sum(), rel=1e-9)
    assert correlation_sums(found.scatter, outside[2:], y[:, 2:], residual[2:], found.count) == (0, 1)
