"""Mutual information and overlap of sets: the published table, the second code, scikit-learn, bad input."""

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from oracles import arrays, expected, published
from sklearn.metrics import mutual_info_score

from widenet_decompose.filters import Filters
from widenet_decompose.influence import influential_units
from widenet_decompose.information import (
    histogram_information,
    index_information,
    jaccard,
    mean_histogram_information,
    overlap,
    pairwise_information,
)
from widenet_decompose.tally import Tally

TABLE = {"5": (0.034538, 0.00791, 0.27417), "10": (0.057050, 0.01523, 0.43340), "20": (0.070803, 0.00966, 0.62109)}
"""Nats: over all pairs as published, over different classes, of a class with itself."""


@pytest.mark.parametrize("size", TABLE)
def test_the_published_table(size):
    found = index_information(published(size), 64)
    assert round(found["all_pairs"], 6) == TABLE[size][0]
    assert (round(found["off_diagonal"], 5), round(found["self"], 5)) == TABLE[size][1:]


GATED = {5: (0.037509, 0.03394), 10: (0.054036, 0.05533), 20: (0.081744, 0.08740)}
"""Of the gated network: the lowest gates, as published, and the highest."""


@pytest.mark.parametrize("k", GATED)
def test_gates_as_published_and_the_right_way_up(k):
    gates, none = arrays("final_layers")["csg_gate"], (torch.zeros(1, 64), torch.zeros(1))
    lowest, highest = (influential_units(*none, k, score, gates=gates) for score in ("lowest-gate", "gate"))
    assert round(index_information(lowest, 64)["all_pairs"], 6) == GATED[k][0]
    assert round(index_information(highest, 64)["all_pairs"], 5) == GATED[k][1]


def test_overlap_of_the_published_sets():
    masks = {size: Filters.of(published(size), 64).mask for size in TABLE}
    assert [overlap(mask)["distinct"] for mask in masks.values()] == [32, 47, 60]
    assert [overlap(mask)["most_shared"] for mask in masks.values()] == [3, 4, 7]


@hypothesis.given(st.integers(1, 5), st.integers(1, 12), st.integers(0, 999))
def test_pairs_are_scikit_learns(classes, units, seed):
    mask = torch.rand(classes, units, generator=torch.Generator().manual_seed(seed)) < 0.4
    found = pairwise_information(mask)
    theirs = [[mutual_info_score(a.numpy(), b.numpy()) for b in mask] for a in mask]
    np.testing.assert_allclose(found, theirs, atol=1e-12)
    averages = index_information(mask, units)
    assert averages["all_pairs"] == pytest.approx(np.mean(theirs), abs=1e-12)
    index = jaccard(mask)
    assert ((index >= 0) & (index <= 1)).all()
    torch.testing.assert_close(index.diagonal(), mask.any(1).double())


def test_lists_arrays_and_masks_say_the_same():
    sets = published("10")
    by_mask = index_information(Filters.of(sets, 64).mask, 64)
    assert index_information(sets.tolist(), 64) == index_information(sets.numpy(), 64) == by_mask


def test_a_single_class_has_no_pairs():
    assert index_information([[0, 1]], 4)["off_diagonal"] == 0


def test_histograms_are_the_second_codes():
    oracle = expected()["info_mutual_info"]
    p, q, z, w = (torch.tensor(oracle[name], dtype=torch.float64) for name in "pqzw")
    assert float(histogram_information(p, q)) == pytest.approx(oracle["mi_pq_sum"], abs=1e-12)
    assert float(histogram_information(z, w, support=True)) == pytest.approx(oracle["mi_zw_or"], abs=1e-12)


def test_histograms_of_the_published_network_are_as_measured():
    features, measured = arrays("features_all"), {5: (2.062, 3.240), 10: (2.574, 3.759), 20: (3.268, 4.070)}
    tally = Tally(10, 64, measured)
    tally.update(features["train"], features["train_y"])
    for k, values in measured.items():
        found = mean_histogram_information(tally.score("frequency", k))
        assert (round(found["histogram"], 3), round(found["support"], 3)) == values


def test_averages_of_histograms_are_over_all_pairs():
    counts = torch.randint(4, (5, 7), generator=torch.Generator().manual_seed(0))
    shares, present = counts / counts.sum(1, keepdim=True), (counts > 0).double()
    pairs = [(c, d) for c in range(5) for d in range(5) if c != d]
    found = mean_histogram_information(counts)
    assert found["histogram"] == pytest.approx(np.mean([float(histogram_information(shares[c], shares[d])) for c, d in pairs]))
    slow = np.mean([float(histogram_information(present[c], present[d], support=True)) for c, d in pairs])
    assert found["support"] == pytest.approx(slow)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ([[0, 4]], "class 0 names unit 4, the layer has units 0 to 3"),
        ([[0, 1], [2, 2]], "class 1 names unit 2 twice"),
        ([[-1]], "unit -1"),
    ],
)
def test_sets_that_do_not_fit_are_refused(sets, said):
    with pytest.raises(ValueError, match=said):
        index_information(sets, 4)
