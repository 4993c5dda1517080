"""Redundancy against the recorded outputs of the original code (shared/golden/frivolous/redundancy.npz)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from widenet.kernels.gram import Gram
from widenet.kernels.similarity import count_similar
from widenet.kernels.spectrum import spectrum
from widenet_frivolous import redundancy

GOLDEN = dict(np.load(Path(__file__).parents[2] / "golden" / "frivolous" / "redundancy.npz"))
CASES = ("fc40", "conv24", "dead30", "signed16")
SETS = ("train", "test")


def gram_of(x):
    gram = Gram(x.shape[1])
    gram.update(x)
    return gram


def class_means(x, y):
    """Class means float64 (C, N) and sizes (C,)."""
    classes = int(y.max()) + 1
    hot = np.eye(classes)[y]
    sizes = hot.sum(0)
    return torch.from_numpy(hot.T @ x.astype(np.float64) / sizes[:, None]), torch.from_numpy(sizes).long()


@pytest.mark.parametrize("split", SETS)
@pytest.mark.parametrize("case", CASES)
def test_compressibility_is_the_published_one(case, split):
    values = GOLDEN[f"{case}__evals_{split}"]
    assert redundancy.compressibility(values) == GOLDEN[f"{case}__compress95_{split}"]
    assert redundancy.compressibility(torch.from_numpy(values).flip(0)) == GOLDEN[f"{case}__compress95_{split}"]


@pytest.mark.parametrize("split", SETS)
@pytest.mark.parametrize("case", CASES)
def test_compressibility_from_the_samples(case, split):
    found = spectrum(gram_of(GOLDEN[f"{case}__{split}"]))
    assert redundancy.compressibility(found.eigenvalues) == GOLDEN[f"{case}__compress95_{split}"]


@pytest.mark.parametrize("case", CASES)
def test_the_fraction_without_the_quirk_counts_one_direction_less(case):
    values = GOLDEN[f"{case}__evals_test"]
    for place, energy in enumerate((0.95, 0.8)):
        expected = 1 - GOLDEN[f"{case}__ncomp_test"][place] / len(values)
        assert redundancy.redundant(values, energy) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("case", CASES)
def test_selectivity(case):
    # The original takes its means in float32.
    found = {}
    for split in SETS:
        found[split] = class_means(GOLDEN[f"{case}__{split}"], GOLDEN[f"{case}__y_{split}"])
    train = redundancy.selectivity(*found["train"])
    test = redundancy.selectivity(*found["test"], redundancy.preferred(*found["train"]))
    for name, values in (("sel_train", train), ("sel_test", test), ("sel_gen", (train - test).square())):
        np.testing.assert_allclose(values, GOLDEN[f"{case}__{name}"], atol=5e-7)
    np.testing.assert_allclose(train, GOLDEN[f"{case}__imagenet_sel"], atol=5e-7)


@pytest.mark.parametrize("split", SETS)
@pytest.mark.parametrize("case", CASES)
def test_similar_counts_and_what_is_published_of_them(case, split):
    counts = count_similar(GOLDEN[f"{case}__{split}"], GOLDEN["thresholds"])
    np.testing.assert_array_equal(counts, GOLDEN[f"{case}__simcount_{split}"])
    published = np.array([redundancy.published_similarity(torch.as_tensor(each)) for each in counts])
    np.testing.assert_allclose(published[:, 0], GOLDEN[f"{case}__sim_mean_{split}"], rtol=1e-14)
    np.testing.assert_allclose(published[:, 1], GOLDEN[f"{case}__sim_std_{split}"], rtol=1e-14)
