"""``wn run supermask`` from end to end."""

import pytest
import torch

from widenet.builtin.models import models
from widenet.loading import load
from widenet.opening import network
from widenet.runs import Run

QUICK = ("--dataset", "tiny", "--arch", "conv2:width=0.1", "--threads", "1", "--quiet")


def finished(wn, tmp_path, *words):
    answer = wn("run", "supermask", *QUICK, "--epochs", "2", "--json", *words)
    assert answer.code == 0, answer.err
    return Run.open(tmp_path / answer.json["run"])


def test_weights_are_as_drawn_and_masks_keep_what_was_asked(wn, tmp_path):
    run = finished(wn, tmp_path, "--keep", "0.3", "--init", "kaiming_normal")
    weights, masks = run.weights(), run.masks()
    assert [f"{name}.weight" for name in masks] == list(weights)
    from widenet_supermask.initialise import initial_weight

    for name, mask in masks.items():
        drawn = initial_weight(weights[f"{name}.weight"].shape, "kaiming_normal", run.generator("init", name))
        assert torch.equal(weights[f"{name}.weight"], drawn)
        assert mask.sum() == mask.size - int((1 - 0.3) * mask.size)
        ranked = torch.from_numpy(run.arrays("scores")[name]).abs().flatten().sort().values
        scores = torch.from_numpy(run.arrays("scores")[name]).abs()
        assert scores[torch.from_numpy(mask)].min() >= ranked[int((1 - 0.3) * mask.size)]


def test_opened_without_the_plugin_it_predicts_the_same(wn, tmp_path):
    run = finished(wn, tmp_path)
    registry = load(only="core")
    assert "supermask" not in registry.plugins
    from widenet.components import Dataset
    from widenet.train import evaluate

    data = registry.find(Dataset, "tiny")
    split = data.function(tmp_path, data.config()).test
    assert evaluate(network(registry, run), split)["accuracy"] == run.record["result"]["test_accuracy"]


def test_summary_compares_with_no_mask_and_with_chance(wn):
    answer = wn("run", "supermask", *QUICK[:-1], "--epochs", "8", "--lr", "0.5")
    assert answer.code == 0, answer.err
    for words in ("test accuracy", "unmasked accuracy", "random mask accuracy", "kept", "convs.0", "linear.4", "results:"):
        assert words in answer.out
    for words in ("wn analyze mask-stats", "wn show", "--seed 1"):
        assert words in answer.out
    assert "random, never trained" in answer.out


def test_scaled_weights_are_larger(wn, tmp_path):
    plain, scaled = (finished(wn, tmp_path, "--keep", "0.25", *words) for words in ((), ("--scale-fan",)))
    for name, weight in plain.weights().items():
        ratio = scaled.weights()[name].abs().mean() / weight.abs().mean()
        assert ratio.item() == pytest.approx(2)


def test_starting_from_another_run_masks_its_weights_anew(wn, tmp_path):
    first = finished(wn, tmp_path)
    words = ("--from", first.name, "--keep", "0.8", "--epochs", "1", "--threads", "1", "--quiet", "--json")
    answer = wn("run", "supermask", *words)
    assert answer.code == 0, answer.err
    second = Run.open(tmp_path / answer.json["run"])
    assert second.record["arch"] == first.record["arch"]
    assert second.record["parents"] == [first.name]
    assert all(torch.equal(weight, second.weights()[name]) for name, weight in first.weights().items())
    assert first.name in second.record["result"]["weights"]
    assert second.record["result"]["kept"] == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("arch", ["fc:hidden=20", "cresnet18", "resnet20:width=0.5", "resnet18"])
def test_any_network_can_be_masked(wn, tmp_path, arch):
    words = (
        "--arch",
        arch,
        "--dataset",
        "tiny:train=8,test=4",
        "--threads",
        "1",
        "--quiet",
        "--epochs",
        "1",
        "--batch-size",
        "8",
    )
    answer = wn("run", "supermask", *words, "--json")
    assert answer.code == 0, answer.err
    run = Run.open(tmp_path / answer.json["run"])
    known = {model.name: model for model in models()}[arch.partition(":")[0]]
    assert run.record["arch"]["name"] == f"core/{known.name}"
    assert all(abs(mask.mean() - 0.5) <= 0.5 / mask.size + 1e-9 for mask in run.masks().values())


@pytest.mark.slow
def test_reads_real_digits_with_random_weights(wn):
    answer = wn("run", "supermask", "--arch", "conv4", "--epochs", "10", "--threads", "1", "--quiet", "--json")
    assert answer.code == 0, answer.err
    result = answer.json["result"]
    assert result["test_accuracy"] > 0.95
    assert result["unmasked_accuracy"] < 0.3
    assert result["random_mask_accuracy"] < 0.3


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the compiler's own
def test_compiled_training_masks_too(wn, tmp_path):
    run = finished(wn, tmp_path, "--compile")
    eager = finished(wn, tmp_path)
    assert run.record["environment"]["compile"]
    for name, mask in run.masks().items():
        assert (mask == eager.masks()[name]).mean() > 0.95
