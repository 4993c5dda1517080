"""Initialisers against recorded statistics and their closed forms."""

import json
import math
from pathlib import Path

import pytest
import torch

from widenet_supermask.config import Initialiser, Supermask
from widenet_supermask.initialise import drawn_weight, fans, initial_scores, initial_weight

GOLDEN = Path(__file__).parents[2] / "golden" / "supermask" / "b_init_stats.json"
ORACLE = json.loads(GOLDEN.read_text())


def label(case):
    return "-".join(str(case[key]) for key in ("init", "mode", "scale_fan", "prune_rate"))


@pytest.mark.parametrize("case", ORACLE["stats"], ids=label)
def test_statistics_as_recorded(case):
    # Recorded with the fan scaled by what is removed, and what is kept called prune_rate.
    options = {"init": case["init"], "fan": case["mode"], "scale_fan": bool(case["scale_fan"]), "compat": "original"}
    shape, keep = torch.Size(case["shape"]), case["prune_rate"] if case["scale_fan"] else 0.5
    weight = drawn_weight(shape, keep, Supermask(**options), torch.Generator().manual_seed(1))
    assert weight.shape == shape
    assert weight.dtype == torch.float32
    assert weight.std().item() == pytest.approx(case["std"], rel=0.01, abs=1e-7)
    assert weight.square().mean().sqrt().item() == pytest.approx(case["rms"], rel=0.01)
    assert (weight > 0).float().mean().item() == pytest.approx(case["frac_positive"], abs=0.01)
    if case["n_unique"] <= 2:
        assert weight.unique().tolist() == pytest.approx(sorted(case["unique"]), rel=1e-6)


def test_scores_as_recorded():
    scores = initial_scores(torch.empty(128, 64, 3, 3), 64 * 9, Supermask(), torch.Generator().manual_seed(1))
    assert scores.std().item() == pytest.approx(ORACLE["scores"]["std"], rel=0.01)
    assert scores.abs().max().item() <= ORACLE["scores"]["bound_theory"]


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 3, 3), (5, 7, 3, 3, 2)])
@pytest.mark.parametrize("init", Initialiser.__args__)
def test_every_initialiser_takes_every_kind_of_layer(init, shape):
    taps = math.prod(shape[2:])
    assert fans(torch.Size(shape)) == (7 * taps, 5 * taps)
    one, two, other = (initial_weight(torch.Size(shape), init, torch.Generator().manual_seed(s)) for s in (3, 3, 4))
    assert one.shape == shape
    assert torch.equal(one, two)
    assert init == "unsigned_constant" or not torch.equal(one, other)


@pytest.mark.parametrize("init", Initialiser.__args__)
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_scaling_makes_up_for_what_is_masked(init, keep):
    shape = torch.Size([64, 32, 3, 3])
    plain, scaled = (
        drawn_weight(shape, keep, Supermask(init=init, scale_fan=on), torch.Generator().manual_seed(2)) for on in (False, True)
    )
    torch.testing.assert_close(scaled, plain / math.sqrt(keep))


def test_what_the_original_counts():
    def drawn(**options):
        config = Supermask(init="kaiming_normal", scale_fan=True, **options)
        return drawn_weight(torch.Size([8, 4]), 0.2, config, torch.Generator().manual_seed(2))

    torch.testing.assert_close(drawn(compat="original"), drawn() / 2)  # 0.8 for 0.2
    assert torch.equal(drawn(compat="original", variant="random"), drawn())


def test_gain_is_of_the_nonlinearity_or_as_given():
    shape = torch.Size([64, 32])

    def rms(**options):
        config = Supermask(init="kaiming_normal", **options)
        return drawn_weight(shape, 1.0, config, torch.Generator().manual_seed(3)).square().mean().sqrt().item()

    assert rms(nonlinearity="tanh") / rms() == pytest.approx(5 / 3 / math.sqrt(2))
    assert rms(gain=3.0) / rms() == pytest.approx(3 / math.sqrt(2))


@pytest.mark.parametrize(
    ("kind", "std"), [("uniform", 1 / math.sqrt(300)), ("normal", 1 / math.sqrt(300)), ("constant", 0), ("magnitude", None)]
)
def test_first_scores(kind, std):
    weight = torch.randn(80, 100)
    draw = {"score_init": kind, "score_scale": -2.0}
    scores = initial_scores(weight, 100, Supermask(**draw), torch.Generator().manual_seed(4))
    if kind == "magnitude":
        assert torch.equal(scores, -2 * weight.abs())
    else:
        assert scores.std().item() == pytest.approx(2 * std, rel=0.02)
    assert kind != "constant" or (scores == -2).all()
