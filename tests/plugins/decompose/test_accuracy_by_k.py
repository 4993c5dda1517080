"""Accuracies at every number of units: the counts of the shipped sets, and a loop over masked dense products."""

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import arrays, published

from widenet_decompose import by_k
from widenet_decompose.layer import accuracy_by_k


@pytest.fixture(params=["compiled", "plain"], autouse=True)
def form(request, monkeypatch):
    """The compiled loops, and the plain form."""
    monkeypatch.setattr(by_k, "SMALL", 0)
    if request.param == "plain":
        monkeypatch.setattr(by_k, "compiled", lambda *_: None)
    else:
        pytest.importorskip("numba")


def by_products(x, y, weight, bias, ranking):
    """One masked product for each k."""
    found = []
    for k in range(1, ranking.shape[1] + 1):
        masked = np.zeros(weight.shape)
        np.put_along_axis(masked, ranking[:, :k], np.take_along_axis(weight, ranking[:, :k], 1), 1)
        found.append(float(((x @ masked.T + bias).argmax(1) == y).mean()))
    return found


def test_counts_of_the_shipped_sets():
    features, layers = arrays("features_all"), arrays("final_layers")
    weight, bias = layers["resnet20_W"], layers["resnet20_b"]
    for k, right in ((5, 899), (10, 927), (20, 935)):
        sets = published(str(k)).numpy()
        rest = np.array([np.setdiff1d(np.arange(64), units) for units in sets])
        accuracy = accuracy_by_k(features["test"], features["test_y"], weight, bias, np.concatenate([sets, rest], 1))
        assert accuracy.dtype == torch.float64 and accuracy.shape == (64,)
        assert round(float(accuracy[k - 1]) * 1017) == right and round(float(accuracy[63]) * 1017) == 932
        torch.testing.assert_close(accuracy_by_k(features["test"], features["test_y"], weight, bias, sets), accuracy[:k])


@given(st.integers(1, 7), st.integers(1, 5), st.data())
def test_is_a_loop_over_masked_products(features, classes, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    n, k = data.draw(st.integers(1, 300)), data.draw(st.integers(1, features))
    x, weight = rng.integers(-2, 3, (n, features)) / 2, rng.integers(-2, 3, (classes, features)) / 2  # exact, with many ties
    bias = rng.integers(-1, 2, classes) / 2
    y, ranking = rng.integers(0, classes, n), np.array([rng.permutation(features)[:k] for _ in range(classes)])
    assert accuracy_by_k(x, y, weight, bias, ranking).tolist() == pytest.approx(by_products(x, y, weight, bias, ranking), abs=0)
    as_tensors = [torch.from_numpy(array) for array in (x.astype(np.float32), y, weight.astype(np.float32))]
    without = accuracy_by_k(*as_tensors, None, torch.from_numpy(ranking))
    assert without.tolist() == pytest.approx(by_products(x, y, weight, 0, ranking), abs=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_dtype_strided_and_with_gradients(dtype):
    torch.manual_seed(0)
    x = torch.randn(30, 40).to(dtype).T[:, ::2]
    weight, bias = torch.randn(15, 9).to(dtype).T.requires_grad_(), torch.randn(9, requires_grad=True)
    y, ranking = torch.randint(9, (40,)), torch.rand(15, 9).argsort(0).T
    numbers = [tensor.detach().double().numpy() for tensor in (x, weight, bias)]
    expected = by_products(numbers[0], y.numpy(), numbers[1], numbers[2], ranking.numpy())
    assert accuracy_by_k(x, y, weight, bias, ranking).tolist() == expected


def test_threads_do_not_matter():
    torch.manual_seed(0)
    given_ = torch.randn(700, 20), torch.randint(6, (700,)), torch.randn(6, 20), None, torch.rand(6, 20).argsort(1)
    once = accuracy_by_k(*given_)
    with mock.patch.object(torch, "get_num_threads", lambda: 3):
        assert torch.equal(accuracy_by_k(*given_), once)


BAD = {
    "at least one sample": {"features": torch.zeros(0, 3)},
    "weight must be (C, 3)": {"weight": torch.zeros(2, 4)},
    "bias must be (2,)": {"bias": torch.zeros(3)},
    "labels must be integers (4,)": {"labels": torch.zeros(4)},
    "one a sample": {"labels": torch.zeros(3, dtype=torch.int64)},
    "labels must lie in 0 .. 1, not 0 .. 2": {"labels": torch.tensor([0, 1, 2, 0])},
    "labels must lie in 0 .. 1, not -1": {"labels": torch.tensor([0, 1, -1, 0])},
    "ranking must be integers (2, K)": {"ranking": torch.zeros(3, 1, dtype=torch.int64)},
    "0 < K <= 3": {"ranking": torch.zeros(2, 4, dtype=torch.int64)},
    "not torch.float32": {"ranking": torch.zeros(2, 1)},
    "not torch.bool": {"ranking": torch.ones(2, 3, dtype=torch.bool)},
    "units must lie in 0 .. 2, not 0 .. 3": {"ranking": torch.tensor([[0, 3], [1, 2]])},
    "units must lie in 0 .. 2, not -1": {"ranking": torch.tensor([[0, -1], [1, 2]])},
    "class 1 ranks a unit twice": {"ranking": torch.tensor([[0, 1], [2, 2]])},
}


@pytest.mark.parametrize(("message", "change"), BAD.items(), ids=list(BAD))
def test_bad_arguments(message, change):
    good = {"features": torch.zeros(4, 3), "labels": torch.tensor([0, 1, 1, 0]), "weight": torch.zeros(2, 3), "bias": None}
    good["ranking"] = torch.tensor([[0, 1], [1, 2]])
    accuracy_by_k(**good)
    with pytest.raises(ValueError) as error:
        accuracy_by_k(**{**good, **change})
    assert message in str(error.value) and "\n" not in str(error.value)
