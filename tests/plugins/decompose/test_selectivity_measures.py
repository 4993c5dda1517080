"""Selectivity, psi and entropy: the second code's functions, the published network, dead units."""

import math

import numpy as np
import pytest
import torch
from oracles import arrays, expected

from widenet_decompose.measures import class_entropy, class_means, psi, selectivity_index
from widenet_decompose.regularise import mean_selectivity
from widenet_decompose.tally import Tally, needed


@pytest.mark.parametrize("layer", ["layer1", "layer2"])
def test_the_index_is_the_second_codes(layer):
    means = arrays("unit_inputs")[f"act_{layer}"]
    np.testing.assert_allclose(selectivity_index(means), expected()["selectivity_numpy"][layer]["index"], rtol=1e-6)
    assert means.argmax(0).tolist() == expected()["selectivity_numpy"][layer]["argmax"]


@pytest.mark.parametrize("layer", ["layer1", "layer2"])
def test_the_regulariser_is_the_second_codes_with_a_class_absent(layer):
    sums, counts = arrays("unit_inputs")[f"act_{layer}"], arrays("unit_inputs")["num_labels"]
    assert counts[3] == 0
    # A sample of each class that holds the sum, and others of it that are 0.
    labels = torch.arange(10).repeat_interleave(counts)
    first = counts.cumsum(0) - counts
    outputs = torch.zeros(len(labels), sums.shape[1])
    present = counts > 0
    outputs[first[present]] = sums[present]
    assert float(mean_selectivity([outputs], labels)) == pytest.approx(expected()["selectivity_regularizer"][layer], rel=1e-5)
    places = outputs[:, :, None, None] * torch.tensor([0.25, 0.75]).view(1, 1, 1, 2)
    assert float(mean_selectivity([places], labels)) == pytest.approx(expected()["selectivity_regularizer"][layer], rel=1e-5)


@pytest.mark.parametrize("fraction", ["0.25", "0.5", "0.9"])
def test_psi_is_the_second_codes(fraction):
    for label, features in enumerate(arrays("unit_inputs")["om"]):
        assert psi(needed(features, float(fraction)), 12) == pytest.approx(expected()["psi"][fraction][str(label)], abs=1e-12)


def test_the_published_network_is_as_measured():
    x, y = arrays("features_all")["train"], arrays("features_all")["train_y"]
    tally = Tally(10, 64)
    tally.update(x, y)
    assert round(float(selectivity_index(tally.means).mean()), 3) == 0.463
    both = np.mean([psi(needed(x, 0.5)[y == label], 64) for label in range(10)], axis=0)
    assert [round(value, 4) for value in both] == [0.8125, 0.8074]


def test_a_unit_for_one_class_one_for_all_and_a_dead_one():
    means = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(selectivity_index(means), [1, 0, 0], atol=1e-6)
    entropy = class_entropy(means)
    assert entropy[0] == 0
    assert float(entropy[1]) == pytest.approx(math.log(3))
    assert entropy[2].isnan()


def test_class_means_leave_out_classes_that_are_not_there():
    features = torch.tensor([[1.0], [3.0], [5.0]], requires_grad=True)
    means = class_means(features, torch.tensor([7, 7, 2]))
    assert means.tolist() == [[5.0], [2.0]]
    means.sum().backward()
    assert features.grad.tolist() == [[0.5], [0.5], [1.0]]
