"""Similarity of layers: against the textbook formulas, properties, and inputs that are close to singular."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widenet_frivolous import similarity_measures
from widenet_frivolous.similarity_measures import Layer


def made(seed, samples=60, units=8):
    return torch.randn(samples, units, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def of(seed, **sizes):
    return Layer.of(made(seed, **sizes))


SYMMETRIC = (similarity_measures.linear_cka, similarity_measures.svcca, similarity_measures.cca_r2)
BY_UNIT = (similarity_measures.best_correlation, similarity_measures.projection_residual)


def test_cka_is_the_textbook_one():
    x, y = (made(seed) + seed for seed in (1, 2))
    a, b = (z - z.mean(0) for z in (x, y))
    expected = (b.T @ a).norm() ** 2 / ((a.T @ a).norm() * (b.T @ b).norm())
    assert similarity_measures.linear_cka(Layer.of(x), Layer.of(y)) == pytest.approx(float(expected), rel=1e-12)


def test_cca_is_scikit_learns():
    from sklearn.cross_decomposition import CCA

    x, y = made(1, units=3), made(2, units=4)
    y[:, 0] += x[:, 1]
    a, b = CCA(3, max_iter=5000, tol=1e-12).fit_transform(x.numpy(), y.numpy())
    expected = [abs(np.corrcoef(a[:, k], b[:, k])[0, 1]) for k in range(3)]
    np.testing.assert_allclose(similarity_measures.canonical_correlations(Layer.of(x), Layer.of(y)), expected, atol=1e-6)


def test_svcca_keeps_the_leading_directions():
    x, y = made(1, units=4) * torch.tensor([100.0, 100.0, 1.0, 1.0]), made(2, units=3)
    found = similarity_measures.canonical_correlations(Layer.of(x), Layer.of(y), 0.99)
    assert len(found) == 2
    assert len(similarity_measures.canonical_correlations(Layer.of(x), Layer.of(y))) == 3


def test_units_against_a_plain_computation():
    x, y = made(1).abs(), made(2, units=5).abs()
    one, other = Layer.of(x), Layer.of(y)
    r = np.corrcoef(x.T, y.T)[:8, 8:]
    np.testing.assert_allclose(similarity_measures.best_correlation(one, other), np.abs(r).max(1), rtol=1e-12)
    left = x.numpy() - y.numpy() @ np.linalg.lstsq(y.numpy(), x.numpy(), rcond=None)[0]
    expected = np.linalg.norm(left, axis=0) / np.linalg.norm(x.numpy(), axis=0)
    np.testing.assert_allclose(similarity_measures.projection_residual(one, other), expected, rtol=1e-10)
    distances = np.linalg.norm((x / x.sum(0)).T.numpy()[:, None] - (y / y.sum(0)).T.numpy()[None], axis=2)
    np.testing.assert_allclose(similarity_measures.nearest_distance(one, other), distances.min(1), rtol=1e-12)


@pytest.mark.parametrize("measure", SYMMETRIC)
@given(seed=st.integers(0, 99), units=st.integers(1, 9), others=st.integers(1, 9))
def test_measures_are_symmetric_and_bounded(measure, seed, units, others):
    one, other = of(seed, units=units), of(seed + 1000, units=others)
    assert 0 <= measure(one, other) <= 1
    assert measure(one, other) == pytest.approx(measure(other, one), abs=1e-12)
    assert measure(one, one) == pytest.approx(1)


@pytest.mark.parametrize("measure", SYMMETRIC)
@given(seed=st.integers(0, 99))
def test_a_rotation_a_shift_and_a_scale_change_nothing(measure, seed):
    x, y = made(seed), made(seed + 1000)
    rotation = torch.linalg.qr(made(seed + 2000, samples=8)).Q
    assert measure(Layer.of(3 * x @ rotation + 7), Layer.of(y)) == pytest.approx(measure(Layer.of(x), Layer.of(y)), abs=1e-9)


@given(st.integers(0, 99), st.floats(1e-14, 1e-4), st.sampled_from([1e-150, 1.0, 1e150]))
def test_layers_close_to_singular_stay_in_range(seed, noise, scale):
    x = made(seed, units=3)
    near = torch.cat([x, x + noise * made(seed + 1, units=3), torch.ones(60, 1, dtype=torch.float64)], 1) * scale
    one, other = Layer.of(near), of(seed + 2)
    for measure in SYMMETRIC:
        assert 0 <= measure(one, other) <= 1
        assert 0 <= measure(one, one) <= 1 + 1e-12
    for by_unit in BY_UNIT:
        values = by_unit(one, other)
        assert bool(((values >= 0) & (values <= 1)).all())


def test_more_units_than_samples():
    one, other = of(1, samples=5, units=30), of(2, samples=5, units=40)
    assert similarity_measures.cca_r2(one, other) == pytest.approx(1)
    assert 0 <= similarity_measures.linear_cka(one, other) <= 1


def test_constant_layers_are_like_nothing():
    dead, other = Layer.of(torch.zeros(60, 3)), of(1)
    steady = Layer.of(torch.full((60, 2), 0.1))
    for layer in (dead, steady):
        assert not layer.live.any()
        assert [measure(layer, other) for measure in SYMMETRIC] == [0, 0, 0]
        assert [measure(other, layer) for measure in SYMMETRIC] == [0, 0, 0]
        assert similarity_measures.best_correlation(layer, other).tolist() == [0] * len(layer.live)
    assert similarity_measures.projection_residual(dead, other).isnan().all()
    assert similarity_measures.nearest_distance(dead, other).isnan().all()
    assert similarity_measures.nearest_distance(other, dead).isnan().all()


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.zeros(1, 3), "two samples"),
        (torch.zeros(3, 0), "two samples"),
        (torch.zeros(3), "two samples"),
        (torch.tensor([[1.0], [torch.inf]]), "finite"),
    ],
)
def test_what_is_no_layer(x, said):
    with pytest.raises(ValueError, match=said):
        Layer.of(x)


def test_layers_of_other_samples():
    for measure in (*SYMMETRIC, *BY_UNIT, similarity_measures.nearest_distance):
        with pytest.raises(ValueError, match="same samples"):
            measure(of(1), of(2, samples=30))
    with pytest.raises(ValueError, match="variance"):
        similarity_measures.svcca(of(1), of(2), 0)
