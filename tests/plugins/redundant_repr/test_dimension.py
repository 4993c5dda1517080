"""Intrinsic dimension by two neighbours."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widenet_redundant_repr.dimension import chunk_dimensions, two_nn


def points(count, dimension, width, seed=0):
    """Uniform points of a cube of some dimension, turned into a space of ``width`` dimensions."""
    draw = np.random.default_rng(seed)
    frame, _ = np.linalg.qr(draw.normal(size=(width, dimension)))
    return draw.uniform(size=(count, dimension)) @ frame.T


@pytest.mark.parametrize("dimension", [1, 2, 5])
@pytest.mark.parametrize("width", [6, 40])
def test_cubes_of_known_dimension(dimension, width):
    found = two_nn(points(2000, dimension, width))
    assert found.value == pytest.approx(dimension, rel=0.1)
    assert abs(found.likelihood - dimension) < 4 * found.error + 0.04 * dimension  # the borders of a cube lower it a little
    assert (found.points, found.dropped, found.reason) == (2000, 0, "")


def test_the_formula():
    x = points(300, 3, 5)
    distances = np.sort(np.linalg.norm(x[:, None] - x[None], axis=2), 1)
    logs = np.sort(np.log(distances[:, 2] / distances[:, 1]))
    found = two_nn(x)
    assert found.likelihood == pytest.approx(299 / logs.sum())
    assert found.error == pytest.approx(found.likelihood / 300**0.5)
    kept = logs[:270]
    rise = -np.log(1 - np.arange(1, 271) / 300)
    assert found.value == pytest.approx(kept @ rise / (kept @ kept))


def test_points_on_one_another_are_dropped_and_counted():
    x = points(500, 2, 30).astype(np.float32) + 100
    found = two_nn(np.concatenate([x, x[:50]]))
    assert (found.points, found.dropped) == (450, 100)
    assert found.value == pytest.approx(2, rel=0.25)


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.zeros((2, 3)), "fewer than 3"),
        (np.ones((50, 3)), "fewer than 3"),
        (np.arange(9.0)[1:-1, None] * [1, 0], ""),
        (np.eye(6), "equally far"),
    ],
)
def test_no_estimate_has_a_reason(x, reason):
    found = two_nn(x)
    assert reason in found.reason
    assert (found.value is None) == bool(reason)


@given(st.floats(1e-3, 1e3), st.integers(0, 2**32))
def test_a_dimension_has_no_unit_and_no_order(scale, seed):
    x = points(60, 2, 4, seed)
    one, other = two_nn(x), two_nn(x[::-1] * scale)
    assert other.value == pytest.approx(one.value, rel=1e-6)
    assert other.likelihood == pytest.approx(one.likelihood, rel=1e-6)


def test_chunks_see_the_dimension_once_they_are_as_wide():
    features = torch.from_numpy(points(800, 4, 24)).float()
    found = chunk_dimensions(features, (1, 2, 12, 24), 3, seed=0)
    assert [len(found[size]) for size in found] == [3, 3, 3, 1]
    means = [np.mean([dimension.value for dimension in found[size]]) for size in found]
    assert means == pytest.approx([1, 2, 4, 4], rel=0.2)
    assert chunk_dimensions(features, (12,), 3, seed=0)[12] == found[12]
    assert chunk_dimensions(features, (12,), 3, seed=1)[12] != found[12]
