"""What changes over the epochs."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widenet.runs import Run
from widenet_supermask.schedule import annealed

QUICK = ("--dataset", "tiny", "--arch", "fc:hidden=12,8", "--threads", "1", "--quiet", "--json")


@given(keep=st.floats(0.01, 1), start=st.floats(0.01, 1), epochs=st.integers(1, 50))
def test_annealing_goes_from_start_to_end(keep, start, epochs):
    path = [annealed(keep, start, epochs, epoch) for epoch in range(1, epochs + 4)]
    assert path[0] == pytest.approx(start)
    assert path[epochs:] == [keep] * 3
    steps = [(b - a) * (keep - start) for a, b in pairwise(path)]
    assert all(step >= -1e-12 for step in steps)
    assert annealed(keep, start, 0, 1) == keep


@pytest.fixture
def finished(wn, tmp_path):
    def carry_out(*words):
        answer = wn("run", "supermask", *QUICK, *words)
        assert answer.code == 0, answer.err
        return Run.open(tmp_path / answer.json["run"])

    return carry_out


def test_keep_falls_epoch_by_epoch(finished):
    run = finished("--epochs", "4", "--anneal", "2", "--keep", "0.2", "--save-every", "1")
    means = [mean(run.masks(f"epoch-{number:04d}")) for number in (1, 2, 3, 4)]
    assert means == pytest.approx([1, 0.2 + 0.8 / 8, 0.2, 0.2], abs=0.01)
    assert mean(run.masks()) == pytest.approx(0.2, abs=0.01)


def mean(masks):
    return sum(mask.sum() for mask in masks.values()) / sum(mask.size for mask in masks.values())


def test_frozen_scores_stay_and_weights_may_take_over(finished):
    run = finished("--epochs", "4", "--freeze-scores", "2", "--train-weights", "--save-every", "1", "--lr", "0.5")
    tags = [f"epoch-{number:04d}" for number in (1, 2, 3, 4)]
    masks, weights = ([load(tag)["linear.0"] for tag in tags] for load in (run.masks, lambda t: _weights(run, t)))
    assert (masks[0] != masks[1]).any()
    assert (masks[1] == masks[2]).all()
    assert (masks[2] == masks[3]).all()
    assert (weights[0] == weights[1]).all(), "while scores are learned, weights stay"
    assert (weights[1] != weights[2]).any()
    assert [line["mask/flips"] > 0 for line in run.metrics()] == [True, True, False, False]


def test_scores_of_sampled_masks_freeze_too(finished):
    sampled = ("--variant", "sample", "--epochs", "3", "--lr", "0.5", "--train-weights", "--save-every", "1")
    first, second = (finished(*sampled, "--freeze-scores", epochs) for epochs in ("1", "2"))
    assert (first.arrays("scores")["linear.0"] != second.arrays("scores")["linear.0"]).any()
    before, while_learned, after = (_weights(second, tag)["linear.0"] for tag in ("init", "epoch-0002", "epoch-0003"))
    assert (before == while_learned).all()
    assert (before != after).any()


def _weights(run, tag):
    return {name.removesuffix(".weight"): value.numpy() for name, value in run.weights(tag).items()}


def test_nothing_moves_once_all_is_frozen(finished):
    lines = finished("--epochs", "4", "--freeze-scores", "1").metrics()
    assert lines[1]["test/loss"] == lines[3]["test/loss"]
    assert lines[0]["mask/flips"] > 0 == lines[2]["mask/flips"]


def test_iterand_redraws_in_step(finished):
    plain, rare, often = (
        finished("--epochs", "2", *words)
        for words in ((), ("--variant", "iterand"), ("--variant", "iterand", "--redraw-every", "2", "--redraw-rate", "0.5"))
    )
    assert (_weights(plain, "final")["linear.0"] == _weights(rare, "final")["linear.0"]).all()
    assert (_weights(plain, "final")["linear.0"] != _weights(often, "final")["linear.0"]).any()


def test_iterand_redraws_no_biases(finished):
    words = ("--arch", "fc:hidden=12,8,bias=true", "--epochs", "2", "--mask-bias")
    plain, often = (finished(*words, *own) for own in ((), ("--variant", "iterand", "--redraw-every", "1")))
    assert often.masks().keys() == plain.masks().keys()
    for name, value in plain.weights().items():
        assert (often.weights()[name] == value).all() == name.endswith("bias"), name
