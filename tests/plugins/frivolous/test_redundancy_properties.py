"""Properties of the redundancy measures, and what they say of degenerate layers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from widenet.kernels.gram import Gram
from widenet_frivolous import redundancy

spectra = arrays.arrays(np.float64, st.integers(1, 20), elements=st.floats(0, 100))
energies = st.floats(0.01, 0.99)


def gram_of(x):
    gram = Gram(x.shape[1])
    gram.update(x)
    return gram


def noise(seed, samples=400, units=6):
    return torch.randn(samples, units, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(spectra, energies)
def test_the_published_fraction_is_the_quirk_above_the_other(values, energy):
    published, plain = redundancy.compressibility(values, energy), redundancy.redundant(values, energy)
    assert 0 <= plain <= published <= 1
    if values.sum():
        assert plain < 1
        assert published - plain == pytest.approx(1 / len(values), abs=1.0001 / len(values))


@given(spectra, energies, st.integers(-20, 20))
def test_neither_order_nor_scale_matter(values, energy, power):
    shuffled = np.random.default_rng(0).permutation(values) * 2.0**power
    assert redundancy.redundant(shuffled, energy) == redundancy.redundant(values, energy)
    assert redundancy.compressibility(shuffled, energy) == redundancy.compressibility(values, energy)


@given(spectra, energies, energies)
def test_more_energy_leaves_less_to_spare(values, one, other):
    low, high = sorted((one, other))
    assert redundancy.redundant(values, low) >= redundancy.redundant(values, high)


@pytest.mark.parametrize("function", [redundancy.compressibility, redundancy.redundant])
def test_degenerate_spectra(function):
    assert function(np.zeros(4)) == 1
    assert function([0.0, -1e-17]) == 1
    assert function([2.0]) in (0, 1)
    for wrong in ([], [np.nan, 1.0], [np.inf], np.ones((2, 2))):
        with pytest.raises(ValueError, match="eigenvalues"):
            function(wrong)
    for energy in (0, 1, -1, float("nan")):
        with pytest.raises(ValueError, match="energy"):
            function([1.0], energy)


@given(st.integers(0, 99))
def test_predictability_is_the_r2_of_a_regression(seed):
    x = noise(seed)
    x[:, 0] += x[:, 1] - 2 * x[:, 2]
    found = redundancy.predictability(gram_of(x), 1e-12)
    for unit in range(6):
        others = torch.cat([x[:, [u for u in range(6) if u != unit]], torch.ones(400, 1, dtype=torch.float64)], 1)
        left = x[:, unit] - others @ torch.linalg.lstsq(others, x[:, unit, None]).solution[:, 0]
        expected = 1 - left.square().sum() / (x[:, unit] - x[:, unit].mean()).square().sum()
        assert found[unit] == pytest.approx(float(expected), abs=1e-6)


@given(st.integers(0, 99), st.sampled_from([1e-6, 1.0, 1e6]))
def test_scaling_a_unit_changes_no_predictability(seed, scale):
    x = noise(seed)
    scaled = x.clone()
    scaled[:, 2] *= scale
    torch.testing.assert_close(redundancy.predictability(gram_of(scaled)), redundancy.predictability(gram_of(x)))


def test_copies_are_predictable_and_dead_units_have_no_value():
    x = noise(1)
    x[:, 1] = -x[:, 0]
    x[:, 3] = 0
    found = redundancy.predictability(gram_of(x))
    assert bool((found[:2] > 0.9999).all())
    assert bool(found[3].isnan())
    assert bool((found[[2, 4, 5]] < 0.1).all())
    assert redundancy.live_units(gram_of(x)).tolist() == [True, True, True, False, True, True]


def test_predictability_of_degenerate_layers():
    assert redundancy.predictability(gram_of(noise(1, units=1))).tolist() == [0]
    assert redundancy.predictability(gram_of(torch.ones(9, 3))).isnan().all()
    with pytest.raises(ValueError, match="take more samples"):
        redundancy.predictability(gram_of(noise(1, samples=7)))
    with pytest.raises(ValueError, match="ridge"):
        redundancy.predictability(gram_of(noise(1)), 0)


@given(arrays.arrays(np.float64, (3, 5), elements=st.floats(0, 10)), st.tuples(*[st.integers(1, 9)] * 3))
def test_selectivity_of_rectified_units_lies_between_0_and_1(means, sizes):
    found = redundancy.selectivity(torch.from_numpy(means), torch.tensor(sizes))
    defined = found[found.isfinite()]
    assert bool(((defined >= -1e-12) & (defined <= 1 + 1e-12)).all())
    assert found.isnan().tolist() == (means == 0).all(0).tolist()


def test_a_class_without_samples_is_left_out():
    means = torch.tensor([[1.0, 0.0], [9.0, 9.0], [0.0, 1.0]])
    found = redundancy.selectivity(means, torch.tensor([4, 0, 4]))
    assert found.tolist() == [1, 1]
    assert redundancy.preferred(means, torch.tensor([4, 0, 4])).tolist() == [0, 2]
    assert redundancy.selectivity(means, torch.tensor([0, 4, 0])).isnan().all()  # no other samples
    with pytest.raises(ValueError, match="no class has samples"):
        redundancy.preferred(means, torch.zeros(3, dtype=torch.int64))


def test_units_without_selectivity_count_as_not_selective():
    assert redundancy.not_selective(torch.tensor([0.01, 0.5, torch.nan, 0.06])) == 0.5
