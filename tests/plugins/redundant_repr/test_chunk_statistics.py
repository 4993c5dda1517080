"""Statistics and errors of chunks against the published code's own values."""

import attrs
import numpy as np
import pytest
import torch
from made_layers import GOLDEN, gram_of

from widenet_redundant_repr import chunks
from widenet_redundant_repr.chunks import (
    batch_statistics,
    chunk_error,
    chunk_statistics,
    nested_r2,
    r2_and_correlation,
    sampling_floor,
)

SIZES = [1, 3, 6, 12, 24, 48]
LAYER = np.load(GOLDEN / "representations.npz")
PUBLISHED = np.load(GOLDEN / "r2_mean_corr_float64.npz")
ERRORS = np.load(GOLDEN / "chunk_error.npz")


@pytest.fixture(scope="module")
def gram():
    return gram_of(LAYER["features_test"])


@pytest.mark.parametrize("c", SIZES)
def test_r2_and_correlation_are_those_published(gram, c):
    found = [r2_and_correlation(gram, index) for index in PUBLISHED[f"index_c{c}"]]
    r2, correlation = np.transpose(found)
    np.testing.assert_allclose(r2, PUBLISHED[f"r2_c{c}"], rtol=0, atol=1e-8)
    np.testing.assert_allclose(correlation, PUBLISHED[f"mean_corr_c{c}"], rtol=0, atol=1e-8)


@pytest.mark.parametrize("c", SIZES)
def test_nested_r2_is_that_published(gram, c):
    found = [nested_r2(gram, permutation)[c - 1] for permutation in PUBLISHED[f"perm_c{c}"]]
    np.testing.assert_allclose(found, PUBLISHED[f"r2_c{c}"], rtol=0, atol=1e-8)


@pytest.mark.parametrize("c", SIZES)
def test_chunks_solved_together_are_chunks_solved_alone(gram, c):
    indices = PUBLISHED[f"index_c{c}"]
    together = list(chunks._statistics(gram, torch.from_numpy(indices)))  # as on a GPU
    for found in (batch_statistics(gram, indices), [chunk_statistics(gram, index) for index in indices]):
        apart, same = ([attrs.astuple(one) for one in each] for each in (found, together))
        np.testing.assert_allclose(apart, same, rtol=0, atol=1e-10)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("c", SIZES)
def test_error_and_loss_are_those_published(split, c):
    arguments = LAYER[f"features_{split}"], LAYER["readout_weight"], LAYER["readout_bias"], LAYER[f"targets_{split}"]
    tensors = [torch.from_numpy(argument) for argument in arguments]
    for index, error, loss in zip(*(ERRORS[f"{name}_{split}_c{c}"] for name in ("index", "error", "loss")), strict=True):
        for given in ((*arguments, index), (*tensors, torch.from_numpy(index))):
            found = chunk_error(*given)
            assert found[0] == pytest.approx(error, abs=1e-12)
            assert found[1] == pytest.approx(loss, abs=1e-5)


def test_a_read_out_of_one_row_is_binary():
    features = np.array([[1.0, 2], [-1, 5], [0, 0], [3, 1]], dtype=np.float32)
    error, loss = chunk_error(features, np.array([[0.5, 9]]), np.array([0.25]), np.array([1, 1, 0, 0]), [0])
    outputs, signs = np.array([0.75, -0.25, 0.25, 1.75]), np.array([1, 1, -1, -1])
    assert error == 0.75
    assert loss == pytest.approx((np.maximum(0, 1 - signs * outputs) ** 2).mean() / 2)


def test_an_output_of_zero_decides_nothing():
    assert chunk_error(np.zeros((2, 1)), np.ones((1, 1)), np.zeros(1), np.array([0, 1]), [0])[0] == 1


def test_independent_neurons_correlate_as_much_as_the_floor():
    x = np.random.default_rng(0).normal(size=(1000, 60))
    assert chunk_statistics(gram_of(x), [0]).correlation_out == pytest.approx(sampling_floor(1000), rel=0.05)
    assert sampling_floor(10_000) == pytest.approx(0.0080, abs=5e-5)
