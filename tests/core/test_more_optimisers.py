"""Adagrad, RMSProp and FTRL: their updates written out, and the exponential schedule."""

import math

import pytest
import torch
from torch import nn

from widenet import Train
from widenet.train.optimisers import learning_rate, make_optimiser

GRADIENTS = (0.5, -2.0, 0.25)


def trained(name, weight=0.7, lr=0.1, weight_decay=0.0):
    """The weight after each of :data:`GRADIENTS`."""
    net = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(net.weight, weight)
    optimiser = make_optimiser(net, Train(optimizer=name, lr=lr, weight_decay=weight_decay))
    found = []
    for gradient in GRADIENTS:
        net.weight.grad = torch.full_like(net.weight, gradient)
        optimiser.step()
        found.append(net.weight.item())
    return found


def adagrad(weight, lr, g, state):
    state["n"] = state.get("n", 0.1) + g * g
    return weight - lr * g / math.sqrt(state["n"])


def rmsprop(weight, lr, g, state):
    state["n"] = 0.9 * state.get("n", 0.0) + 0.1 * g * g
    return weight - lr * g / math.sqrt(state["n"])


def ftrl(weight, lr, g, state):
    n = state.get("n", 0.1)
    state["z"] = state.get("z", 0.0) + g - (math.sqrt(n + g * g) - math.sqrt(n)) / lr * weight
    state["n"] = n + g * g
    return -lr * state["z"] / math.sqrt(state["n"])


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("update", [adagrad, rmsprop, ftrl])
def test_updates_written_out(update, decay):
    weight, state, wanted = 0.7, {}, []
    for gradient in GRADIENTS:
        weight = update(weight, 0.1, gradient + decay * weight, state)
        wanted.append(weight)
    assert trained(update.__name__, weight_decay=decay) == pytest.approx(wanted, rel=1e-7)


@pytest.mark.parametrize("name", ["adagrad", "rmsprop", "ftrl"])
def test_stacked_runs_are_the_same(wn, tmp_path, name):
    words = ["run", "train", "--arch", "fc:hidden=8", "--dataset", "tiny", "--optimizer", name, "--lr", "0.01", "--epochs", "2"]
    words += ["--threads", "1", "--quiet", "--json"]
    alone = wn(*words, "--seed", "1")
    assert alone.code == 0, alone.err
    alone = torch.load(tmp_path / alone.json["run"] / "weights" / "final.pt")
    together = wn(*words, "--repeats", "2", "--stack", "--runs-dir", "others")
    assert together.code == 0, together.err
    (other,) = (tmp_path / "others").glob("*/seed-1/weights/final.pt")
    torch.testing.assert_close(torch.load(other), alone, rtol=1e-4, atol=1e-5)


def test_exponential_schedule():
    config = Train(epochs=5, lr=0.4, schedule="exponential", gamma=0.5, warmup=2)
    assert [learning_rate(config, epoch) for epoch in range(1, 6)] == pytest.approx([0.2, 0.4, 0.4, 0.2, 0.1])
