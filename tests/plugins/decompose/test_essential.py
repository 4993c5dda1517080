"""Overwritten units: the counts measured with the original code, and what follows from the definition."""

import pytest
import torch
from oracles import arrays, published

from widenet.capture import ReadOut
from widenet_decompose.essential import Replaced
from widenet_decompose.filters import Filters
from widenet_decompose.influence import influential_units, random_ranking

FEATURES, LAYERS = arrays("features_all"), arrays("final_layers")
OURS = Replaced(FEATURES["test"], FEATURES["test_y"], ReadOut("linear", LAYERS["resnet20_W"], LAYERS["resnet20_b"]))
GATED = Replaced(FEATURES["csg_test"], FEATURES["test_y"], ReadOut("linear", LAYERS["csg_W"], LAYERS["csg_b"]))
ORIGINAL = {
    "5": (OURS, (483.6, 10.6), (867.6, 7.6)),
    "10": (OURS, (102.2, 5.2), (985.6, 10.5)),
    "20": (OURS, (12.0, 3.4), (1007.2, 2.3)),
    "csg": (GATED, (940.6, 4.3), (45.8, 5.8)),
}
"""Images of 1,017 still right, mean and deviation over five draws of the original code: own units overwritten, all others."""
DRAWS = 10


def counts(replaced, ranking_of, kind="noise"):
    """Mean counts (2,) over draws."""
    found = []
    for draw in range(DRAWS):
        generator = torch.Generator().manual_seed(draw)
        found.append(replaced.hits(Filters.of(ranking_of(generator), 64).mask, kind, generator).sum(1))
    return torch.stack(found).double().mean(0)


def test_nothing_overwritten():
    assert int(OURS.clean().sum()) == 932
    assert int(GATED.clean().sum()) == 901


@pytest.mark.parametrize("name", ORIGINAL)
def test_noise_is_the_original_codes(name):
    replaced, *expected = ORIGINAL[name]
    found = counts(replaced, lambda _: published(name))
    for value, (mean, deviation) in zip(found.tolist(), expected, strict=True):
        assert abs(value - mean) < 3 * deviation


CONTROLS = {5: (249, 938), 10: (36, 1000), 20: (3, 1009)}


@pytest.mark.parametrize("k", CONTROLS)
def test_the_gated_networks_own_units_are_those_of_its_highest_gates(k):
    ranking = influential_units(FEATURES["csg_test"], FEATURES["test_y"], k, "gate", gates=LAYERS["csg_gate"])
    found = counts(GATED, lambda _: ranking)
    assert found.tolist() == pytest.approx(CONTROLS[k], abs=12)


@pytest.mark.parametrize(("k", "expected"), [(5, (933, 149)), (10, (904, 233)), (20, (827, 505))])
def test_random_units_are_not_essential(k, expected):
    found = counts(OURS, lambda generator: random_ranking(10, 64, generator)[:, :k])
    assert found.tolist() == pytest.approx(expected, abs=60)


def test_zero_and_mean_draw_nothing_and_say_the_same_twice():
    mask = Filters.of(published("5"), 64).mask
    for kind in ("zero", "mean"):
        one, other = (OURS.hits(mask, kind, torch.Generator().manual_seed(seed)) for seed in (0, 1))
        assert torch.equal(one, other)


def test_with_every_unit_its_own_nothing_else_is_left_to_overwrite():
    everything = torch.ones(10, 64, dtype=torch.bool)
    found = OURS.hits(everything, "noise", torch.Generator().manual_seed(0))
    assert torch.equal(found[1], OURS.clean())
    assert int(found[0].sum()) < 300


def test_shuffled_values_are_the_units_own():
    new = OURS._new("shuffle", torch.Generator().manual_seed(0))
    assert torch.equal(new.sort(0).values, OURS.x.sort(0).values)
    matched = OURS._new("matched", torch.Generator().manual_seed(0))
    assert torch.allclose(matched.mean(0), OURS.x.mean(0), atol=0.15)
    assert torch.allclose(matched.std(0), OURS.x.std(0), rtol=0.15)


def test_noise_of_another_scale():
    wide = Replaced(OURS.x, OURS.y, ReadOut("linear", OURS.weight, OURS.bias), scale=3.0)
    one, other = (each._new("noise", torch.Generator().manual_seed(0)) for each in (OURS, wide))
    assert torch.allclose(3 * one, other)


def test_other_classes_are_told_apart():
    mask = torch.zeros(10, 64, dtype=torch.bool)
    assert OURS.others(mask, "zero", torch.Generator())[0] == pytest.approx(932 / 1017, abs=0.002)
