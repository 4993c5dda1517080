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


@pytest.mark.parametrize(("variant", "ratio"), [("edge-popup", 0.75**-0.5), ("random", 2)])
def test_the_papers_code_scales_dense_layers_as_if_they_were_masked(wn, tmp_path, variant, ratio):
    dense = ("--first-dense", "--last-dense", "--lr", "1e-12")
    words = (*dense, "--keep", "0.25", "--init", "kaiming_normal", "--variant", variant)
    plain, scaled, repeated = (
        finished(wn, tmp_path, *words, *more) for more in ((), ("--scale-fan",), ("--scale-fan", "--compat", "original"))
    )
    masked = [f"{name}.weight" for name in plain.masks()]
    for name, weight in plain.weights().items():
        torch.testing.assert_close(scaled.weights()[name], weight * (2 if name in masked else 1))
        torch.testing.assert_close(repeated.weights()[name], weight * ratio)


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


def onward(wn, tmp_path, first, *words):
    answer = wn("run", "supermask", "--from", first.name, "--epochs", "1", "--threads", "1", "--quiet", "--json", *words)
    assert answer.code == 0, answer.err
    return Run.open(tmp_path / answer.json["run"])


def test_found_masks_are_taken_whole(wn, tmp_path):
    first = finished(wn, tmp_path, "--arch", "conv2:width=0.1,bias=true", "--mask-bias", "--last-dense", "--keep", "0.2")
    fixed, random = (onward(wn, tmp_path, first, "--variant", variant) for variant in ("fixed", "random"))
    assert fixed.masks().keys() == random.masks().keys() == first.masks().keys()
    for name, mask in first.masks().items():
        assert (fixed.masks()[name] == mask).all()
        assert random.masks()[name].sum() == mask.sum()
    redrawn = onward(wn, tmp_path, first, "--variant", "fixed", "--new-weights", "--scale-fan", "--lr", "1e-9")
    size = redrawn.weights()["convs.2.weight"].abs().mean()
    kept = first.masks()["convs.2"].mean()
    assert size == pytest.approx((2 / (kept * 6 * 9)) ** 0.5, rel=1e-4), "scaled by what the mask keeps"


@pytest.mark.parametrize("variant", ["edge-popup", "sample"])
def test_masks_that_came_along_make_room(wn, tmp_path, variant):
    first = finished(wn, tmp_path, "--arch", "conv2:width=0.1,bias=true", "--mask-bias")
    run = onward(wn, tmp_path, first, "--variant", variant, "--first-dense")
    assert run.masks()["convs.0"].all()
    assert run.masks()["convs.0.bias"].all()
    assert list(run.arrays("scores")) == ["convs.2", "linear.0", "linear.2", "linear.4"]
    assert run.record["result"]["weights"] == f"of {first.name}, not trained here where masked"


def test_weights_of_one_size_have_no_largest(wn, tmp_path):
    alike, normal = (finished(wn, tmp_path, "--init", init) for init in ("xavier_constant", "kaiming_normal"))
    assert "magnitude_mask_accuracy" not in alike.record["result"]
    answer = wn("run", "supermask", "--from", alike.name, "--variant", "magnitude", "--epochs", "1", "--quiet")
    assert answer.code == 2
    assert "all of one size: add --init kaiming_normal --new-weights" in answer.line
    assert "magnitude_mask_accuracy" in onward(wn, tmp_path, normal).record["result"], "whatever --init would have drawn"


def test_new_weights_need_old_ones(wn):
    answer = wn("run", "supermask", *QUICK, "--new-weights")
    assert answer.code == 2
    assert "add --from RUN" in answer.line


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
