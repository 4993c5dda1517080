"""Units by influence: the published sets, the second code's functions, brute force, bad input."""

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from oracles import arrays, expected, published

from widenet_decompose.influence import SCORES, holding, influential_units, ranked
from widenet_decompose.tally import COUNTED, Tally, median_shares, needed, shares, summed

FEATURES = arrays("features_all")
WEIGHT = arrays("final_layers")["resnet20_W"]
OVERLAPS = {
    "frequency": (47, 96, 199),
    "mean": (47, 98, 199),
    "share": (47, 98, 199),
    "median": (47, 99, 197),
    "mass": (47, 99, 197),
    "contribution": (46, 91, 183),
    "contribution-frequency": (46, 90, 183),
    "weight": (43, 86, 179),
}
"""Units in common with the published sets of 5, 10 and 20 units a class, over all classes, as measured on these features."""
RANKS = {
    "mean": (37, 60, 79),
    "share": (37, 59, 77),
    "median": (33, 64, 84),
    "contribution": (23, 42, 53),
    "weight": (17, 31, 35),
}
"""Units at the same place, of the scores that have no ties."""


def common(one, other):
    return sum(len(set(a.tolist()) & set(b.tolist())) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("score", OVERLAPS)
def test_the_published_sets_are_found_as_well_as_was_measured(score):
    found = [influential_units(FEATURES["train"], FEATURES["train_y"], k, score, weight=WEIGHT) for k in (5, 10, 20)]
    kept = [published(str(k)) for k in (5, 10, 20)]
    assert tuple(common(a, b) for a, b in zip(found, kept, strict=True)) == OVERLAPS[score]
    if score in RANKS:
        assert tuple(int((a == b).sum()) for a, b in zip(found, kept, strict=True)) == RANKS[score]


def test_frequency_with_the_test_images_as_well_finds_all_of_the_published_ten():
    x = torch.cat([FEATURES["train"], FEATURES["test"]])
    y = torch.cat([FEATURES["train_y"], FEATURES["test_y"]])
    assert [common(influential_units(x, y, k), published(str(k))) for k in (5, 10, 20)] == [47, 100, 199]


def test_the_second_codes_sets_but_for_the_order_of_equal_counts():
    features, labels = arrays("unit_inputs")["om"].flatten(0, 1), torch.arange(3).repeat_interleave(6)
    tally = Tally(3, 12, [3])
    tally.update(features, labels)
    counts = tally.score("frequency", 3)
    for label, units in enumerate(influential_units(features, labels, 3)):
        theirs = expected()["top_inds"]["3"][str(label)]
        assert counts[label][units].tolist() == counts[label][theirs].tolist()


def test_the_number_of_channels_below_a_threshold_is_the_second_codes():
    maps = arrays("unit_inputs")["inds_at_t_input"].mean((2, 3))
    theirs = expected()["inds_at_t_0.9"]
    assert int(needed(maps, 0.9).float().mean()) == theirs["k"]
    assert maps.argsort(dim=1, descending=True).tolist() == theirs["inds"]


MASS = {1: 0.063, 2: 0.117, 5: 0.254, 10: 0.428, 15: 0.559, 20: 0.661, 30: 0.805, 40: 0.899, 50: 0.960}


def test_mass_of_a_samples_largest_units_is_as_measured():
    held = shares(FEATURES["train"]).sort(dim=1, descending=True).values.cumsum(1).mean(0)
    assert {k: float(held[k - 1]) for k in MASS} == pytest.approx(MASS, abs=7e-4)


def slow_counts(features, labels, classes, k):
    counts = torch.zeros(classes, features.shape[1])
    for row, label in zip(features, labels, strict=True):
        for unit in sorted(range(len(row)), key=lambda unit: (-float(row[unit]), unit))[:k]:
            counts[label, unit] += 1
    return counts


@st.composite
def samples(draw):
    classes, units = draw(st.integers(1, 4)), draw(st.integers(1, 7))
    count = draw(st.integers(classes, 20))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    # Of few values, so that there are ties and dead units.
    features = torch.randint(draw(st.integers(1, 4)), (count, units), generator=generator).float()
    labels = torch.cat([torch.arange(classes), torch.randint(classes, (count - classes,), generator=generator)])
    return features, labels, draw(st.integers(1, units))


@hypothesis.given(samples())
def test_counts_are_those_of_the_definition_in_any_blocks_and_for_several_sizes(case):
    features, labels, k = case
    classes, units = int(labels.max()) + 1, features.shape[1]
    tally = Tally(classes, units, {k, units}, COUNTED[:2])
    for start in range(0, len(labels), 3):
        tally.update(features[start : start + 3], labels[start : start + 3])
    torch.testing.assert_close(tally.score("frequency", k), slow_counts(features, labels, classes, k).double())
    torch.testing.assert_close(tally.score("frequency", units), tally.size.double()[:, None].expand(classes, units))
    masses = torch.stack([tally.score("mass", units)[c] / tally.size[c] for c in range(classes)])
    torch.testing.assert_close(masses, tally.mean_shares)


@hypothesis.given(samples(), st.sampled_from([score for score in SCORES if score not in ("gate", "lowest-gate")]))
def test_every_score_names_each_unit_once_and_the_first_k_of_a_larger_choice_where_k_does_not_count(case, score):
    features, labels, k = case
    units = features.shape[1]
    weight = torch.randn(int(labels.max()) + 1, units, generator=torch.Generator().manual_seed(0))
    found = influential_units(features, labels, k, score, weight=weight)
    assert found.shape == (len(weight) if score in ("weight",) else int(labels.max()) + 1, k)
    assert found.dtype == torch.int64
    assert all(len(set(row.tolist())) == k for row in found)
    if score in ("mean", "share", "median", "weight", "contribution", "contrast"):
        whole = influential_units(features, labels, units, score, weight=weight)
        torch.testing.assert_close(found, whole[:, :k])


@hypothesis.given(samples(), st.floats(0.01, 1))
def test_a_fraction_is_held_by_the_smallest_set(case, fraction):
    features, labels, _ = case
    tally = Tally(int(labels.max()) + 1, features.shape[1])
    tally.update(features, labels)
    score = tally.means
    ranking = ranked(score)
    for held, kept, order in zip(score, holding(score, ranking, fraction), ranking, strict=True):
        size = int(kept.sum())
        assert kept[order[:size]].all()
        assert held[kept].sum() >= fraction * held.sum() - 1e-9
        assert size == 0 or held[order[: size - 1]].sum() < fraction * held.sum() + 1e-9


def test_a_larger_fraction_holds_more_units():
    tally = Tally(10, 64, [20])
    tally.update(FEATURES["train"], FEATURES["train_y"])
    score = tally.score("frequency", 20)
    sizes = [holding(score, ranked(score), fraction).sum(1) for fraction in (0.5, 0.9)]
    assert (sizes[0] < sizes[1]).all()


def test_medians_read_by_columns_are_those_of_all():
    x, y = FEATURES["test"], FEATURES["test_y"]
    blocks = median_shares(x.split(7, dim=1), summed(x), y, 10)
    torch.testing.assert_close(blocks, median_shares([x], summed(x), y, 10))


def test_gates_are_read_the_right_way_up():
    gates = arrays("final_layers")["csg_gate"]
    x, y = FEATURES["csg_test"], FEATURES["test_y"]
    lowest = influential_units(x, y, 5, "lowest-gate", gates=gates)
    assert common(lowest, published("csg")) == 50  # the published file of gated units has those of the lowest gates
    highest = influential_units(x, y, 5, "gate", gates=gates)
    assert torch.equal(gates.gather(1, highest), gates.topk(5).values)


def test_a_unit_that_is_always_zero_comes_after_those_that_are_not():
    features = torch.tensor([[0.0, 1.0, 2.0], [0.0, 3.0, 1.0]])
    for score in ("frequency", "mean", "share", "mass"):
        assert influential_units(features, [0, 0], 3, score)[0, -1] == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"k": 0}, "k = 0 is not from 1 to the layer's 3 units"),
        ({"k": 4}, "k = 4 is not from 1 to the layer's 3 units"),
        ({"score": "loudness"}, "unknown score 'loudness'; choose one of frequency, mean"),
        ({"labels": [0, 2]}, "class 1 has no sample"),
        ({"labels": [0]}, "with N labels"),
        ({"score": "weight"}, r"score weight needs weight of shape \(C, 3\)"),
        ({"score": "gate", "gates": torch.ones(2, 2)}, r"score gate needs gates of shape \(C, 3\)"),
        ({"features": torch.tensor([[1.0, -1.0, 0.0]] * 2), "score": "share"}, "negative responses"),
        ({"features": torch.tensor([[1.0, -1.0, 0.0]] * 2), "score": "median"}, "negative responses"),
        ({"labels": [0, 2], "score": "median"}, "class 1 has no sample"),
    ],
)
def test_what_cannot_be_ranked_is_refused(change, said):
    given = {"features": torch.ones(2, 3), "labels": [0, 1], "k": 2, **change}
    with pytest.raises(ValueError, match=said):
        influential_units(**given)
