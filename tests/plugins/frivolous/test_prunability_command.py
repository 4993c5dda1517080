"""``wn analyze prunability`` on runs of every kind: rows, arrays, figure, and what is said and refused."""

import numpy as np
import pytest
import torch
from small_nets import Batches, networks
from small_nets import data as small_data
from torch import nn

from widenet.data import Data, Images
from widenet.errors import UsageError
from widenet.runs import Run
from widenet.store import read_arrays
from widenet_frivolous.ablation import Target, one_by_one
from widenet_frivolous.ablation_curve import Curve
from widenet_frivolous.curves import threshold
from widenet_frivolous.options import Prunability
from widenet_frivolous.prunability import Study, study, thresholds

FC = ("train", "--arch", "fc:hidden=12,8", "--dataset", "tiny", "--epochs", "2")
MASKED = ("supermask", "--arch", "fc:hidden=12,8", "--dataset", "tiny", "--epochs", "2")
RESNET = ("train", "--arch", "resnet20:width=0.25", "--dataset", "digits", "--epochs", "1", "--per-class", "20")
CONV = ("train", "--arch", "conv2:width=0.1", "--dataset", "digits", "--epochs", "1", "--per-class", "20")


@pytest.fixture
def analyze(wn):
    """``analyze(run, *words)``: rows, folder and what was said."""

    def carry_out(path, *words):
        answer = wn("analyze", "prunability", path, *words, "--threads", "1", "--json")
        assert answer.code == 0, answer.err
        kept = [line for line in answer.err.splitlines() if line.startswith("kept in ")][-1]
        return answer.json, path.parents[1] / kept.removeprefix("kept in "), answer.err

    return carry_out


def of(rows, **values):
    return [row for row in rows if all(row.get(name) == value for name, value in values.items())]


@pytest.mark.parametrize("words", [FC, MASKED, CONV], ids=["train", "supermask", "convolutions"])
def test_runs_of_every_method(run, analyze, words):
    rows, folder, _ = analyze(run(*words))
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    for layer in layers:
        curve = of(rows, what="curve", layer=layer)
        assert [row["level"] for row in curve] == pytest.approx([number / 6 for number in range(7)])
        assert curve[0]["agreement"] == 1 and curve[0]["kl"] == 0
        assert curve[-1]["ablated"] == curve[0]["units"]
        assert all(row["low"] <= row["agreement"] + 1e-9 and row["agreement"] <= row["best"] + 1e-9 for row in curve)
        (at,) = of(rows, what="threshold", layer=layer)
        assert 0 <= at["threshold"] <= 1 and at["draws"] == 3
    assert (folder / "prunability.png").is_file()
    if words is FC:
        assert layers == ["linear.1", "linear.3", "all"]
        arrays = read_arrays(folder / "arrays" / "prunability.h5")
        found = [
            threshold(arrays[f"all/random-zero/{draw}/fraction"], arrays[f"all/random-zero/{draw}/agreement"])
            for draw in range(3)
        ]
        assert of(rows, what="threshold", layer="all")[0]["threshold"] == pytest.approx(np.mean(found))
        assert sorted(arrays["linear.1/random-zero/0/order"].tolist()) == list(range(12))


@pytest.mark.slow
def test_every_order_and_perturbation(run, analyze):
    kinds = ("zero", "mean", "resample", "noise", "weight-noise", "weight-knockout")
    orders = ("random", "cluster", "activation", "weight-norm", "selectivity", "greedy")
    rows, folder, _ = analyze(
        run(*FC), "--order", ",".join(orders), "--perturb", ",".join(kinds), "--levels", "0.5,1", "--draws", "2", "--single"
    )
    found = {(row["order"], row["perturb"]) for row in of(rows, what="threshold")}
    assert found == {(order, kind) for order in orders for kind in kinds[:3]} | {("-", kind) for kind in kinds[3:]}
    assert {row["layer"] for row in of(rows, perturb="weight-noise")} == {"linear.0", "linear.2", "all"}
    assert {row["draws"] for row in of(rows, what="curve", order="activation", perturb="zero")} == {1}
    assert {row["draws"] for row in of(rows, what="curve", order="activation", perturb="resample")} == {2}
    (single,) = of(rows, what="single", layer="linear.3")
    each = read_arrays(folder / "arrays" / "prunability.h5")["linear.3/single"]
    assert len(each) == 8 and single["low"] == pytest.approx(each.min())


def test_adaptive_levels_end_at_neighbours(run, analyze):
    rows, folder, _ = analyze(run(*FC), "--adaptive", "--levels", "1", "--draws", "2")
    arrays = read_arrays(folder / "arrays" / "prunability.h5")
    for draw in range(2):
        fraction, agreement = (arrays[f"linear.1/random-zero/{draw}/{name}"] for name in ("fraction", "agreement"))
        below = int(np.argmax(agreement < 0.8))
        assert round((fraction[below] - fraction[below - 1]) * 12) == 1
        assert len(fraction) <= 2 + np.ceil(np.log2(12))
    assert [row["level"] for row in of(rows, what="curve", layer="all")][-1] == 1


def test_blocks_whose_shortcut_carries_on_are_named(run, analyze):
    _, _, said = analyze(run(*RESNET), "--layer", "layer1.0.relu1,layer3", "--levels", "1", "--at", "0.05")
    assert "layer1.0.relu1: with all units ablated" in said
    assert "a shortcut carries on" in said
    assert "layer3: with all" not in said


def test_recalibration(run, analyze):
    path = run(*RESNET)
    words = ("--layer", "layer2", "--levels", "0.5", "--draws", "1", "--samples", "60")
    plain, _, _ = analyze(path, *words)
    again, _, _ = analyze(path, *words, "--recalibrate", "--train-samples", "100")
    assert plain[1]["kl"] != again[1]["kl"]


def test_the_same_command_gives_the_same_rows(run, analyze):
    path = run(*FC)
    words = ("--order", "cluster", "--perturb", "resample,noise", "--levels", "0.5")
    one, _, _ = analyze(path, *words)
    other, _, _ = analyze(path, *words, "--fresh")
    assert one == other


def test_more_draws_leave_the_first_ones_alone(run, analyze):
    path = run(*FC)
    _, few, _ = analyze(path, "--draws", "1", "--levels", "0.5")
    _, many, _ = analyze(path, "--draws", "4", "--levels", "0.25,0.5")
    one, other = (read_arrays(folder / "arrays" / "prunability.h5") for folder in (few, many))
    assert np.array_equal(one["linear.1/random-zero/0/order"], other["linear.1/random-zero/0/order"])
    assert one["linear.1/random-zero/0/agreement"][1] == other["linear.1/random-zero/0/agreement"][2]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--layer", "conv9"), "no layer matches 'conv9'"),
        (("--layer", "linear.4"), "only the logits are left"),
        (("--split", "val"), "has no split val"),
        (("--samples", "1"), "two samples or more"),
        (("--levels", "0.5,0.2"), "levels must rise"),
        (("--quantiles", "0.5"), "quantiles are two"),
        (("--layer", "linear.1", "--perturb", "weight-noise"), "no layer that matches has weights"),
        (("--layer", "flatten", "--order", "weight-norm"), "needs weights that feed flatten"),
    ],
)
def test_refused_in_one_line(run, wn, words, reason):
    answer = wn("analyze", "prunability", run(*FC), *words, "--threads", "1")
    assert answer.code == 2
    assert reason in answer.err
    assert "Traceback" not in answer.err


class Reporter:
    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)

    def work(self, *_):
        pass


@pytest.fixture
def plain_run(tmp_path):
    return Run(tmp_path, {"seed": 0}, reporter=Reporter())


def test_every_network_whatever_its_code(plain_run):
    data = small_data()
    for name, (net, paths) in networks().items():
        config = Prunability(layer=paths, draws=2, perturb=("zero", "noise"))
        work = Study(plain_run, net, data, config)
        lines = work.curves()
        for line in lines:
            keys = [line.key(level) for level in config.levels[1:]]
            target = Target(line.points, tuple(line.condition(key) for key in keys))
            expected = one_by_one(net, data.test, target, 128)
            assert [line.measured[key][0] for key in keys] == expected.agreement, name
            assert [line.measured[key][1] for key in keys] == expected.accuracy, name


def test_a_network_without_activation_modules_is_perturbed_where_its_layers_read(plain_run):
    net, _ = networks()["functional"]
    rows = list(study(plain_run, net, small_data(), Prunability(draws=1)))
    assert list(dict.fromkeys(row["layer"] for row in rows)) == ["second:input", "third:input", "last:input", "all"]


def hidden(units):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, units), nn.ReLU(), nn.Linear(units, 5)).eval()


def test_a_layer_of_one_unit(plain_run):
    rows = list(study(plain_run, hidden(1), small_data(), Prunability(draws=1, order=("random", "cluster"))))
    assert {row["ablated"] for row in of(rows, what="curve")} == {0, 1}


def test_all_units_dead(plain_run):
    net = hidden(6)
    net[1].bias.data -= 1e4
    rows = list(study(plain_run, net, small_data(), Prunability(draws=1, order=("random", "cluster", "selectivity"))))
    assert {row["agreement"] for row in of(rows, what="curve")} == {1.0}
    assert {row["threshold"] for row in of(rows, what="threshold")} == {1.0}
    said = "\n".join(plain_run.reporter.said)
    assert "2: all its units are constant" in said
    assert "its units are dead" in said


def test_some_units_dead(plain_run):
    net = hidden(6)
    net[1].bias.data[:2] -= 1e4
    work = Study(plain_run, net, small_data(), Prunability(draws=1, order=("cluster",), levels=(0.5,)))
    (line,) = work.curves()
    assert set(line.orders["2"][-2:].tolist()) == {0, 1}
    assert "2 of its 6 units are constant" in plain_run.reporter.said[0]


def test_a_single_sample(plain_run):
    x = torch.randn(1, 3, 4, 4)
    one = Images(x, torch.zeros(1, dtype=torch.int64))
    with pytest.raises(UsageError, match="two samples or more"):
        list(study(plain_run, hidden(4), Data("one", one, one, shape=(3, 4, 4), classes=5), Prunability()))


def test_thresholds_for_others(plain_run):
    found = thresholds(plain_run, hidden(8), small_data(), Prunability(draws=2))
    assert set(found) == {("2", "random", "zero")}
    assert len(found["2", "random", "zero"]) == 2


def test_the_accuracy_may_be_what_must_stay(plain_run):
    rows = list(study(plain_run, hidden(8), small_data(), Prunability(metric="accuracy", draws=1)))
    assert 0 <= of(rows, what="threshold")[0]["threshold"] <= 1


def test_equal_numbers_of_units_are_measured_once(plain_run, monkeypatch):
    measured = []
    original = Curve.condition
    monkeypatch.setattr(Curve, "condition", lambda self, key: measured.append(key) or original(self, key))
    Study(plain_run, hidden(2), small_data(), Prunability(draws=1)).curves()
    assert sorted(measured) == [(1,), (2,)]  # 1/6 of 2 rounds to none


class Counting(Batches):
    """A split that counts the samples that are read of it."""

    read = 0

    def batches(self, size, generator=None, part=(0, 1)):
        for x, y in super().batches(size, generator, part):
            self.read += len(x)
            yield x, y


def test_the_published_number_takes_one_pass_over_the_test_samples(plain_run):
    train, test = (Counting(torch.randn(300, 3, 4, 4), torch.arange(300) % 5) for _ in range(2))
    net, paths = networks()["conv"]
    counted = Data("counted", train, test, shape=(3, 4, 4), classes=5)
    thresholds(plain_run, net, counted, Prunability(layer=paths, targets="all"))
    assert train.read == 0
    assert 300 <= test.read < 310  # a few are looked at beforehand
