"""Spectra against the original's, against NumPy's, and by two ways."""

from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from widenet.kernels import spectrum as module
from widenet.kernels.gram import Gram
from widenet.kernels.spectrum import Spectrum, spectrum, spectrum_of_samples

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "frivolous" / "redundancy.npz")
BOTH = pytest.mark.parametrize("correlation", [False, True], ids=["covariance", "correlation"])


def gram_of(x):
    gram = Gram(x.shape[1])
    gram.update(x)
    return gram


def layer(n, units, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, 3)) @ rng.normal(size=(3, units)) + 0.3 * rng.normal(size=(n, units))) * rng.uniform(
        0.1, 9, units
    ) + 7


def of(*values):
    return Spectrum(torch.tensor(values, dtype=torch.float64), torch.zeros(len(values), dtype=torch.bool))


@pytest.mark.parametrize("case", ["fc40", "conv24", "dead30", "signed16"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_spectra_and_components_are_the_originals(case, split):
    x, wanted = GOLDEN[f"{case}__{split}"], GOLDEN[f"{case}__evals_{split}"]
    centred = x - x.mean(0)  # as the original does, in float32, which costs it all digits but seven
    for samples, rtol in ((centred, 1e-10), (x, 1e-7)):
        found = spectrum(gram_of(samples))
        np.testing.assert_allclose(found.eigenvalues, wanted, rtol=rtol, atol=1e-13 * wanted[-1])
        assert [found.components(0.95), found.components(0.8)] == GOLDEN[f"{case}__ncomp_{split}"].tolist()
        assert found.constant.nonzero().flatten().tolist() == ([1, 2, 3, 4] if case == "dead30" else [])


@BOTH
@settings(max_examples=60)
@given(n=st.integers(2, 40), units=st.integers(1, 30), seed=st.integers(0, 99), dead=st.integers(0, 30))
def test_same_as_numpys_by_either_way(n, units, seed, dead, correlation):
    x = layer(n, units, seed)
    x[:, :dead] = 0.1
    live = x[:, dead:]
    wanted = np.linalg.eigvalsh(np.atleast_2d(np.corrcoef(live.T) if correlation else np.cov(live.T))) if dead < units else []
    for found in (spectrum(gram_of(x), correlation), spectrum_of_samples(x, correlation)):
        values = found.eigenvalues if correlation else found.eigenvalues[min(dead, units) :]
        np.testing.assert_allclose(values, wanted, rtol=1e-9, atol=1e-12 * max(wanted, default=0))
        assert len(found.eigenvalues) == (max(0, units - dead) if correlation else units)
        assert found.eigenvalues.dtype == torch.float64
        assert bool((found.eigenvalues >= 0).all())
        assert found.constant.tolist() == [unit < dead for unit in range(units)]


@settings(max_examples=40)
@given(seed=st.integers(0, 99), scale=st.floats(1e-6, 1e6), n=st.integers(3, 30))
def test_what_is_read_does_not_depend_on_units_of_measurement(seed, scale, n):
    x = layer(n, 9, seed)
    one, other = spectrum_of_samples(x), spectrum_of_samples(x * scale)
    for read in (Spectrum.participation_ratio, Spectrum.effective_rank, Spectrum.stable_rank):
        assert read(one) == pytest.approx(read(other), rel=1e-9)
        assert 1 <= read(one) <= 9 + 1e-9
    assert one.stable_rank() <= one.participation_ratio() * (1 + 1e-12) <= one.effective_rank() * (1 + 1e-9)
    rescaled = x * np.geomspace(1, 1000, 9)  # what a network of ReLUs allows
    np.testing.assert_allclose(
        spectrum_of_samples(x, True).eigenvalues, spectrum_of_samples(rescaled, True).eigenvalues, rtol=1e-8, atol=1e-11
    )


def test_equal_eigenvalues_and_a_single_one():
    assert [of(2, 2, 2, 2).components(e) for e in (0, 0.2, 0.25, 0.6, 0.75, 0.99)] == [1, 1, 2, 3, 4, 4]  # strictly above
    assert (of(2, 2).participation_ratio(), of(2, 2).effective_rank(), of(2, 2).stable_rank()) == pytest.approx((2, 2, 2))
    alone = of(0, 0, 5)
    assert (alone.components(0.999), alone.participation_ratio(), alone.effective_rank(), alone.stable_rank()) == (1, 1, 1, 1)
    assert of(1e200, 3e200).participation_ratio() == pytest.approx(1.6)
    assert of(1e-200, 3e-200).stable_rank() == pytest.approx(4 / 3)
    assert of(*[0.1] * 10).components(np.nextafter(1, 0)) == 10  # rounding leaves none above


@BOTH
@pytest.mark.parametrize("shape", [(1, 4), (6, 4), (3, 4), (5, 1), (2, 0)])
def test_dead_layers_have_defined_values(shape, correlation):
    for x in (np.zeros(shape), np.full(shape, 0.3)):
        for found in (spectrum(gram_of(x), correlation), spectrum_of_samples(x, correlation)):
            assert found.eigenvalues.tolist() == [0] * (0 if correlation else shape[1])
            assert found.constant.all()
            read = found.components(0.95), found.participation_ratio(), found.effective_rank(), found.stable_rank()
            assert read == (0, 0, 0, 0)


def test_float32_samples_on_many_panels(monkeypatch):
    monkeypatch.setattr(module, "PANEL", 7)
    x = torch.from_numpy(layer(12, 40)).float()
    before = x.clone()
    for correlation in (False, True):
        wanted = spectrum(gram_of(x), correlation).eigenvalues
        found = spectrum_of_samples(x, correlation).eigenvalues
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12 * float(wanted[-1]))
    assert torch.equal(x, before)


@pytest.mark.parametrize("energy", [-0.1, 1, 1.5, inf, nan])
def test_energies_that_no_share_can_exceed(energy):
    with pytest.raises(ValueError, match="energy must be at least 0 and below 1"):
        of(1, 2).components(energy)


def test_no_samples_and_bad_ones():
    with pytest.raises(ValueError, match="at least one sample"):
        spectrum(Gram(3))
    for x in (np.ones((0, 3)), np.ones(3)):
        with pytest.raises(ValueError, match="M at least 1"):
            spectrum_of_samples(x)
    for x in (np.array([[1.0, nan, 1]]), np.array([[1.0], [inf]])):
        with pytest.raises(ValueError, match="finite"):
            spectrum_of_samples(x)
