"""What the curves of a layer's chunks say: the law of the error, and when there is none."""

import numpy as np
import pytest
import torch

from widenet.kernels.gram import Gram
from widenet_redundant_repr.config import Chunks
from widenet_redundant_repr.infinity import Infinity
from widenet_redundant_repr.measure import Grams, Measured
from widenet_redundant_repr.representation import Representation
from widenet_redundant_repr.summary import said, summarise

SIZES = [1, 2, 4, 8, 16, 32, 64]


def made_up(noise=0.0, infinity=None, train=None, **options):
    """The summary of made-up errors c^(-1/2) + 0.03 of seven sizes with R2 of 1 from size 4 on."""
    draw = np.random.default_rng(0)
    test = np.array(SIZES)[:, None] ** -0.5 + 0.03 + noise * draw.standard_normal((7, 40))
    values = {
        "test_error": test,
        "train_error": np.zeros((7, 40)) if train is None else np.repeat(np.array(train)[:, None], 40, 1),
        "r2": np.repeat(np.array(SIZES)[:, None] >= 4, 40, 1).astype(float),
    }
    gram = Gram(64)
    gram.update(torch.randn(100, 64, generator=torch.Generator().manual_seed(0)))
    found = Representation("fc:input", 64, "mean", 10, range(200), range(100), None)
    return summarise(found, Grams(gram), Measured("layer", "random", SIZES, values, [""] * 7), infinity, Chunks(**options))


@pytest.mark.parametrize("infinity", [None, Infinity(0.03, "given")])
def test_a_law_that_is_exact_is_found(infinity):
    summary, law = made_up(infinity=infinity)
    assert (summary["critical_width"], summary["thresholds"][0]["clones"]) == (4, 16)
    assert summary["power_law"]["exponent"] == law.exponent == pytest.approx(0.5, abs=1e-3)
    assert law.amplitude == pytest.approx(1, abs=1e-2)
    assert summary["error_infinity"] == pytest.approx(0.03, abs=1e-3)
    assert summary["error_infinity_source"] == ("fitted" if infinity is None else "given")
    assert any(line.startswith("test error = 0.0300") and "c^-0.500" in line for line in said(summary))
    assert "w_c* = 4: 16 clones in 64 neurons" in next(said(summary))


def test_a_noisy_law_is_found_within_its_error():
    _, law = made_up(noise=0.01, infinity=Infinity(0.03, "given"))
    assert abs(law.exponent - 0.5) < 4 * law.exponent_error
    assert 0 < law.exponent_error < 0.05


def test_without_a_complete_chunk_there_is_no_law():
    train = [0.5, 0.4, 0.3, 0.2, 0.1, 0.008, 0.0]
    summary, law = made_up(train=train)
    assert [each["critical_width"] for each in summary["thresholds"]] == [64, 32]
    assert law.exponent is None
    assert next(said(summary)).startswith("only the whole layer is complete")
    assert any(line.startswith("no power law fitted: fewer than 3 sizes from 32 on") for line in said(summary))
    strict, law = made_up(train=train, r2_threshold=1.0, tolerances=(0.0,))
    assert strict["thresholds"] == [{"r2": 1.0, "tolerance": 0.0, "critical_width": 64, "clones": 1}]
