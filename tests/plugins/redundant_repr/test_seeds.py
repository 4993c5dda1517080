"""Ensembles of seeds, bias and variance."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widenet import UsageError
from widenet_redundant_repr.seeds import bias_variance, ensemble_error


def nets(count, samples=40, classes=3, seed=0):
    draw = np.random.default_rng(seed)
    return [draw.normal(size=(samples, classes)) for _ in range(count)], draw.integers(classes, size=samples)


def test_logits_are_summed_not_probabilities():
    logits = [torch.tensor([[10.0, 0.0]]), torch.tensor([[0.0, 4.0]]), torch.tensor([[0.0, 4.0]])]
    assert ensemble_error(logits, [0]) == 0  # of probabilities, and of votes, the second class has more
    assert ensemble_error(logits, [1]) == 1


@given(st.integers(2, 6), st.integers(0, 2**32))
def test_bias_and_variance_add_up(count, seed):
    logits, labels = nets(count, 12, 4, seed)
    outputs = torch.tensor(np.array(logits)).softmax(2).numpy()
    squares = (outputs - np.eye(4)[labels]) ** 2
    found = bias_variance(logits, labels)
    assert found.loss == pytest.approx(squares.sum(2).mean())
    assert found.bias2 + found.variance == pytest.approx(found.loss)
    assert found.variance == pytest.approx(outputs.var(0, ddof=1).sum(1).mean())


def test_bias_and_variance_do_not_depend_on_the_number_of_networks():
    logits, labels = nets(8, 200)
    every = bias_variance(logits, labels)
    pairs = [bias_variance(pair, labels) for pair in combinations(logits, 2)]
    assert np.mean([pair.variance for pair in pairs]) == pytest.approx(every.variance)
    assert np.mean([pair.bias2 for pair in pairs]) == pytest.approx(every.bias2)


def test_equal_networks_have_no_variance():
    (logits,), labels = nets(1)
    found = bias_variance([logits, logits], torch.from_numpy(labels))
    assert found.variance == 0
    assert found.bias2 == found.loss > 0


def test_one_network_has_no_variance_to_tell():
    with pytest.raises(UsageError, match="at least two networks, not 1; train more seeds"):
        bias_variance(*nets(1))
