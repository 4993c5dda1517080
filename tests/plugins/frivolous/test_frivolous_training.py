"""Training: initialisers, regularisers, random labels, the network of the best epoch, an early end."""

import math
import signal

import attrs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from widenet.builtin.datasets.tiny import load as tiny
from widenet.data import Data, Images
from widenet.errors import UsageError
from widenet.masks import Fixed, attach
from widenet.runs import Run
from widenet.testing import KILLER
from widenet.train import Epoch
from widenet_frivolous.cifar import Prepared
from widenet_frivolous.experiments import INITIALISERS
from widenet_frivolous.initialise import draw, draw_cut, initialise, variance
from widenet_frivolous.models import Mlp, mlp1
from widenet_frivolous.options import Frivolous
from widenet_frivolous.regularise import augmented, decayed_loss, regularised
from widenet_frivolous.training import Selection, train_network

TINY = ("frivolous", "--dataset", "tiny", "--arch", "mlp1:init=he-normal", "--lr", "0.1")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# -- initialisers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INITIALISERS)
@pytest.mark.parametrize("shape", [(300, 200), (64, 48, 3, 3)])
def test_weights_have_their_variance(name, shape):
    weight = torch.empty(shape)
    draw(weight, name, seeded())
    taps = math.prod(shape[2:])
    fan_in, fan_out = shape[1] * taps, shape[0] * taps
    wanted = {"glorot": 2 / (fan_in + fan_out), "he": 2 / fan_in, "lecun": 1 / fan_in}[name.split("-")[0]]
    assert weight.var().item() == pytest.approx(wanted, rel=0.03)
    assert abs(weight.mean().item()) < 0.03 * math.sqrt(wanted)
    reach = weight.abs().max().item() / math.sqrt(wanted)
    assert reach == pytest.approx(math.sqrt(3) if name.endswith("uniform") else 2 / 0.8796, rel=0.01)


def test_cut_weights_deviate_less():
    weight = torch.empty(400, 300)
    draw_cut(weight, 0.5, seeded())
    assert weight.std().item() == pytest.approx(0.8796 * 0.5, rel=0.01)
    assert weight.abs().max().item() <= 1.0


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 5), st.sampled_from(INITIALISERS))
def test_variance_of_any_layer(outputs, inputs, side, name):
    he = variance(torch.Size([outputs, inputs, side, side]), "he-normal")
    assert he == pytest.approx(2 / (inputs * side * side))
    assert 0 < variance(torch.Size([outputs, inputs, side, side]), name) <= he


def test_any_network_is_initialised_from_a_generator():
    nets = [nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 4)) for _ in range(2)]
    biases = [net[0].bias.clone() for net in nets]
    for net in nets:
        initialise(net, "lecun-uniform", seeded(3))
    assert nets[0][0].weight.equal(nets[1][0].weight)
    assert nets[0][3].weight.equal(nets[1][3].weight)
    assert all(net[0].bias.equal(bias) for net, bias in zip(nets, biases, strict=True))


def test_what_cannot_be_initialised():
    with pytest.raises(UsageError, match="no linear or convolutional layer"):
        initialise(nn.ReLU(), "he-normal")
    net = nn.Sequential(nn.Linear(3, 2))
    attach(net, lambda name, weight: Fixed(torch.ones_like(weight, dtype=torch.bool)))
    with pytest.raises(UsageError, match="0 lie under a mask"):
        initialise(net, "he-normal")


# -- regularisers -----------------------------------------------------------------------------------------------------------


def test_only_hidden_matrices_are_penalised():
    net = mlp1((8,), 3, Mlp(init="he-normal"))
    config = Frivolous(regulariser="weight-decay", fc_decay=0.5)
    loss = decayed_loss(net, config)
    x, y = torch.randn(6, 8), torch.tensor([0, 1, 2, 0, 1, 2])
    loss(net(x), y).backward()
    found = {name: parameter.grad for name, parameter in net.named_parameters()}
    net.zero_grad()
    nn.functional.cross_entropy(net(x), y).backward()
    for name, parameter in net.named_parameters():
        extra = 0.5 * parameter.detach() if name == "fc1.linear.weight" else torch.zeros_like(parameter)
        torch.testing.assert_close(found[name] - parameter.grad, extra)


def test_all_is_the_three_together():
    images = Images(torch.zeros(4, 3, 16, 16, dtype=torch.uint8), torch.arange(4))
    net = nn.Sequential(nn.Flatten(), nn.Linear(768, 5), nn.Dropout(0.0), nn.Linear(5, 4))
    data, loss = regularised(net, Data("own", images, images, (3, 16, 16), 4), Frivolous(regulariser="all"))
    assert (data.train.pad, data.train.flip, data.test.pad, net[2].p) == (2, True, 0, 0.5)
    assert loss is not None
    assert regularised(net, data, Frivolous())[1] is None


def test_what_is_augmented():
    grey = tiny(16, 1, 4, 8, 8)
    assert (augmented(grey).train.pad, augmented(grey).train.flip) == (2, False)
    split = Prepared(Images(torch.zeros(4, 3, 32, 32, dtype=torch.uint8), torch.arange(4)))
    assert augmented(attrs.evolve(grey, train=split)).train.augment


@pytest.mark.parametrize(
    ("regulariser", "said"),
    [
        ("augment", "has no images in memory to augment"),
        ("dropout", "no dropout layer"),
        ("weight-decay", "no hidden fully connected layer"),
    ],
)
def test_regularisers_that_mean_nothing(regulariser, said):
    vectors = Images(torch.zeros(4, 5), torch.arange(4))
    with pytest.raises(UsageError, match=said):
        regularised(nn.Linear(5, 4), Data("own", vectors, vectors, (5,), 4), Frivolous(regulariser=regulariser))


# -- selection --------------------------------------------------------------------------------------------------------------


def last_accuracy(folder, split):
    return [line[f"{split}/accuracy"] for line in Run.open(folder).metrics()]


@pytest.mark.parametrize(("select", "extra"), [("val", ["--val", "0.25"]), ("train", ["--labels", "random"])])
def test_the_best_network_is_left_and_training_ends_early(wn, run, select, extra):
    folder = run(*TINY, *extra, "--select", select, "--patience", "2", "--epochs", "60")
    found = Run.open(folder)
    accuracies = last_accuracy(folder, select)
    best = accuracies.index(max(accuracies)) + 1
    result = found.record["result"]
    assert result["selected_epoch"] == best
    assert result["epochs"] == len(accuracies) < 60
    assert len(accuracies) == best + 2 or (select == "train" and accuracies[-1] == 1)
    assert "training ends after epoch" in (folder / "log.txt").read_text()
    weights = found.weights("best-train" if select == "train" else "best")
    assert all(value.equal(weights[name]) for name, value in found.weights("final").items())
    assert result["test_accuracy"] == pytest.approx(last_accuracy(folder, "test")[best - 1])


def test_the_last_network_is_left_otherwise(run):
    result = Run.open(run(*TINY, "--epochs", "2")).record["result"]
    assert (result["epochs"], result["selected_epoch"]) == (2, 2)


def test_a_resumed_selection_remembers(tmp_path):
    run, net = Run(tmp_path, {"seed": 0, "options": {}}), mlp1((16,), 4, Mlp())
    run.log({"epoch": 1, "train/accuracy": 0.9})
    run.log({"epoch": 2, "train/accuracy": 0.5})
    run.save_weights("best-train", net.state_dict())
    chosen = Selection("train", 1, "best")
    chosen.look(run, net, Epoch(2, {"train/accuracy": 0.5}))
    assert (chosen.epoch, chosen.best) == (1, 0.9)
    assert chosen.finished().startswith("no better train accuracy")
    assert chosen.restore(run, net) == 1


@pytest.mark.parametrize(("select", "extra"), [("val", ["--val", "0.25"]), ("train", [])])
def test_a_killed_run_continues_bit_for_bit(wn, wn_apart, tmp_path, select, extra):
    (tmp_path / "killer.py").write_text(KILLER)
    words = [
        "run",
        *TINY,
        *extra,
        "--select",
        select,
        "--patience",
        "2",
        "--epochs",
        "5",
        "--threads",
        "1",
        "--quiet",
        "--json",
    ]
    killed = wn_apart(*words, "--plugin", tmp_path / "killer.py", "--runs-dir", "cut")
    assert killed.code == -signal.SIGKILL
    cut, whole = (wn(*words, "--runs-dir", name) for name in ("cut", "whole"))
    assert cut.code == whole.code == 0, cut.err + whole.err
    found = [Run.open(tmp_path / answer.json["run"]) for answer in (cut, whole)]
    assert found[0].record["result"] == found[1].record["result"]
    weights = [run.weights("final") for run in found]
    assert all(value.equal(weights[1][name]) for name, value in weights[0].items())


@pytest.mark.parametrize("seed", [0, 1])
def test_initialised_from_the_runs_seed(tmp_path, seed):
    weights = []
    for number in range(2):
        folder = tmp_path / f"{seed}-{number}"
        folder.mkdir()
        net = mlp1((16,), 4, Mlp())
        run = Run(folder, {"seed": seed, "options": {}})
        train_network(run, net, tiny(4, 1, 4, 16, 8), Frivolous(init="he-uniform", epochs=1, lr=1e-9))
        weights.append(net.fc1.linear.weight.detach().clone())
    assert weights[0].equal(weights[1])
    assert weights[0].std().item() == pytest.approx(math.sqrt(2 / 16), rel=0.1)


def test_rate_and_batch_are_multiplied(run):
    lines = Run.open(run(*TINY, "--epochs", "1", "--lr-bs-factor", "0.25", "--batch-size", "64")).metrics()
    assert lines[0]["lr"] == pytest.approx(0.025)
    assert lines[0]["step"] == 8


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--select", "val"], "--select val needs validation samples: add --val 0.05"),
        (["--patience", "3"], "patience waits for a better accuracy"),
        (["--lr-bs-factor", "0.001"], "leaves nothing of batches of 128"),
        (["--init", "xavier"], "'xavier' is none of glorot-normal"),
        (["--regulariser", "l1"], "'l1' is none of none, augment"),
    ],
)
def test_refused(wn, tmp_path, words, said):
    answer = wn("run", "frivolous", "--dataset", "tiny", "--arch", "mlp1", *words)
    assert answer.code == 2
    assert said in answer.line
    assert not list(tmp_path.glob("runs/*/*"))


def test_a_parents_weights_are_not_drawn_anew(wn, run, home):
    parent = run(*TINY, "--epochs", "2")
    answer = wn("run", "frivolous", "--from", parent, "--init", "he-normal", "--epochs", "1", cwd=home)
    assert answer.code == 2
    assert "--init draws the weights anew that --from brings" in answer.line
