"""Initialisers against recorded statistics and their closed forms."""

import json
import math
from pathlib import Path

import pytest
import torch

from widenet_supermask.config import Initialiser
from widenet_supermask.initialise import fans, initial_scores, initial_weight

GOLDEN = Path(__file__).parents[2] / "golden" / "supermask" / "b_init_stats.json"
ORACLE = json.loads(GOLDEN.read_text())


def label(case):
    return "-".join(str(case[key]) for key in ("init", "mode", "scale_fan", "prune_rate"))


@pytest.mark.parametrize("case", ORACLE["stats"], ids=label)
def test_statistics_as_recorded(case):
    # The recorded scaling counts 1 - prune_rate of the weights: that fraction is what is kept.
    keep = 1 - case["prune_rate"] if case["scale_fan"] else 1.0
    shape = torch.Size(case["shape"])
    weight = initial_weight(shape, case["init"], torch.Generator().manual_seed(1), fan=case["mode"], keep=keep)
    assert weight.shape == shape
    assert weight.dtype == torch.float32
    assert weight.std().item() == pytest.approx(case["std"], rel=0.01, abs=1e-7)
    assert weight.square().mean().sqrt().item() == pytest.approx(case["rms"], rel=0.01)
    assert (weight > 0).float().mean().item() == pytest.approx(case["frac_positive"], abs=0.01)
    if case["n_unique"] <= 2:
        assert weight.unique().tolist() == pytest.approx(sorted(case["unique"]), rel=1e-6)


def test_scores_as_recorded():
    scores = initial_scores(torch.Size([128, 64, 3, 3]), torch.Generator().manual_seed(1))
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
