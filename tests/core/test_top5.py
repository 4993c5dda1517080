"""Accuracy among the five likeliest classes, against NumPy's sorting."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from widenet.components import Train
from widenet.data import Data, Images
from widenet.runs import Run
from widenet.train import evaluate, fit
from widenet.train.evaluate import hits

QUICK = ("--threads", "1", "--quiet", "--epochs", "2", "--lr", "0.02")


def places(logits, y):
    """How many classes are likelier than the right one, for each sample: NumPy (n,)."""
    order = np.argsort(-np.asarray(logits), axis=1, kind="stable")
    return (order == np.asarray(y)[:, None]).argmax(1)


def split_of(classes, count=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Images(torch.randn(count, 7, generator=generator), torch.randint(classes, (count,), generator=generator))


def net_of(classes):
    torch.manual_seed(classes)
    return nn.Sequential(nn.Linear(7, 9), nn.Dropout(0.5), nn.ReLU(), nn.Linear(9, classes))


def wanted(net, split):
    """Loss, accuracy and top5 computed in NumPy from one pass in float64."""
    with torch.no_grad():
        logits = net.eval()(split.x).double().numpy()
    place, rows = places(logits, split.y), np.arange(len(logits))
    loss = (np.log(np.exp(logits).sum(1)) - logits[rows, split.y.numpy()]).mean()
    return {"loss": loss, "accuracy": (place < 1).mean(), "top5": (place < 5).mean()}


# -- a batch -----------------------------------------------------------------------------------------------------------


@given(n=st.integers(0, 30), classes=st.integers(1, 12), seed=st.integers(0, 99))
def test_hits_are_those_of_sorting(n, classes, seed):
    generator = np.random.default_rng(seed)
    logits = generator.permuted(np.tile(np.arange(classes), (n, 1)), axis=1).astype(np.float32)
    y = generator.integers(0, classes, n)
    place = places(logits, y)
    found = hits(torch.from_numpy(logits), torch.from_numpy(y))
    assert found.dtype == torch.int64
    assert found.tolist() == [(place < 1).sum(), (place < 5).sum()]


@given(n=st.integers(1, 6), classes=st.integers(1, 12), levels=st.integers(1, 3), seed=st.integers(0, 99))
def test_ties_give_one_class_the_first_place_and_no_more_than_five_the_others(n, classes, levels, seed):
    logits = torch.from_numpy(np.random.default_rng(seed).integers(0, levels, (n, classes)).astype(np.float32))
    each = torch.stack([hits(logits, torch.full((n,), label)) for label in range(classes)])
    assert each.sum(0).tolist() == [n, n * min(5, classes)]
    assert (each[:, 0] <= each[:, 1]).all()
    for label in range(classes):
        above, as_high = ((compare(logits, logits[:, [label]])).sum(1) for compare in (torch.gt, torch.ge))
        for column, k in enumerate((1, 5)):
            assert (as_high <= k).sum() <= each[label, column] <= (above < k).sum()


# -- a split -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [6, 10, 11])
@pytest.mark.parametrize("batch_size", [1, 7, 40, 256])
def test_evaluate_is_what_numpy_makes_of_it(classes, batch_size):
    net, split = net_of(classes), split_of(classes)
    found = evaluate(net, split, batch_size=batch_size)
    assert found == pytest.approx(wanted(net, split), rel=1e-5)
    assert found["accuracy"] < found["top5"] < 1


@pytest.mark.parametrize("classes", [2, 5])
def test_up_to_five_classes_have_no_top5(classes):
    net, split = net_of(classes), split_of(classes)
    want = wanted(net, split)
    assert want.pop("top5") == 1
    assert evaluate(net, split) == pytest.approx(want, rel=1e-5)


def test_a_network_that_says_the_same_of_all_classes():
    net = nn.Linear(7, 10)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    found = [evaluate(net, Images(torch.ones(4, 7), torch.full((4,), label))) for label in range(10)]
    assert sum(metrics["accuracy"] for metrics in found) == 1
    assert sum(metrics["top5"] for metrics in found) == 5


# -- training ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [4, 6, 9])
def test_an_epoch_counts_what_its_steps_saw(tmp_path, classes):
    """Of a network that stands still, training tells what evaluation does."""
    net, train, test = net_of(classes).eval(), split_of(classes), split_of(classes, 23, seed=1)
    net[1].p = 0.0
    data = Data("noise", train, test, (7,), classes)
    (epoch,) = fit(Run(tmp_path, {"seed": 0}), net, data, Train(epochs=1, batch_size=16, lr=1e-30))
    for name, split in (("train", train), ("test", test)):
        want = wanted(net, split)
        if classes < 6:
            del want["top5"]
        found = {key.removeprefix(f"{name}/"): value for key, value in epoch.values.items() if key.startswith(f"{name}/")}
        assert found == pytest.approx(want, rel=1e-5)


def test_a_last_batch_that_is_left_out_does_not_count(tmp_path):
    net, train = net_of(8), split_of(8, 33)
    net[1].p = 0.0
    run = Run(tmp_path, {"seed": 0})
    (epoch,) = fit(run, net, Data("noise", train, train, (7,), 8), Train(epochs=1, batch_size=16, lr=1e-30))
    order = torch.cat([y for _, y in train.batches(16, run.generator("order", 0, 1))])
    assert len(order) == 33
    seen = torch.cat([x for x, _ in train.batches(16, run.generator("order", 0, 1))])[:32]
    want = wanted(net, Images(seen, order[:32]))
    assert [epoch.values[f"train/{key}"] for key in want] == pytest.approx(list(want.values()), rel=1e-5)


def test_the_measured_loss_is_not_the_one_trained_with(tmp_path):
    net, train = net_of(8), split_of(8)
    data = Data("noise", train, train, (7,), 8)
    (epoch,) = fit(
        Run(tmp_path, {"seed": 0}), net, data, Train(epochs=1, lr=1e-30), loss=lambda z, y: 7 + 0 * F.cross_entropy(z, y)
    )
    assert epoch.values["train/loss"] == pytest.approx(7)
    assert epoch.values["test/loss"] == pytest.approx(wanted(net, train)["loss"], rel=1e-5)


# -- runs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "has"),
    [("digits:size=8", True), ("tiny:classes=6", True), ("tiny:classes=5", False), ("tiny", False)],
)
@pytest.mark.parametrize("method", ["train", "supermask"])
def test_runs_tell_of_it_where_there_are_classes_enough(wn, tmp_path, method, dataset, has):
    answer = wn("run", method, *QUICK, "--json", "--dataset", dataset, "--arch", "fc:hidden=8")
    assert answer.code == 0, answer.err
    run = Run.open(tmp_path / answer.json["run"])
    lines, result = run.metrics(), run.record["result"]
    assert len(lines) == 2
    if not has:
        assert not [key for line in [*lines, result] for key in line if "top5" in key]
        return
    for line in lines:
        assert all(line[f"{name}/accuracy"] <= line[f"{name}/top5"] <= 1 for name in ("train", "test"))
    assert result["test_top5"] == lines[-1]["test/top5"]
    assert result["test_accuracy"] == lines[-1]["test/accuracy"]


def test_validation_has_it_too_and_the_best_epoch_is_not_chosen_by_it(wn, tmp_path):
    answer = wn("run", "train", *QUICK, "--json", "--dataset", "tiny:classes=6", "--arch", "fc:hidden=8", "--val", "0.2")
    assert answer.code == 0, answer.err
    run = Run.open(tmp_path / answer.json["run"])
    assert all("val/top5" in line for line in run.metrics())
    assert sorted(key for key in run.record["result"] if "best" in key) == [
        "best_epoch",
        "best_test_accuracy",
        "best_val_accuracy",
    ]


def test_people_read_it_in_per_cent(wn):
    answer = wn("run", "train", *QUICK, "--dataset", "tiny:classes=6", "--arch", "fc:hidden=8")
    assert answer.code == 0, answer.err
    (line,) = [line for line in answer.out.splitlines() if "test top5" in line]
    assert line.endswith("%")
