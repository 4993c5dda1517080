"""What keeps runs from being stacked, what they then come to, and where stacking pays."""

from itertools import pairwise

import attrs
import pytest
import torch
from alike import unequal
from crews import Double, alone, assert_close, beside, plain
from masking import Positive, half
from small import blobs
from torch import nn

from widenet.builtin.models.conv import conv_net
from widenet.components import Train
from widenet.data import Images
from widenet.errors import Stopped
from widenet.masks import attach
from widenet.runs import Run
from widenet.train import stack
from widenet.train.optimisers import make_optimiser
from widenet.train.stack import hindrance, pays
from widenet.train.steps import Steps

CPU = torch.device("cpu")
CONFIG = Train(epochs=3, batch_size=16, lr=0.05)
IMAGES = blobs()


def steps(net=None, config=CONFIG, split=IMAGES.train, **given):
    net = net or plain()
    return Steps(Run(None, {"seed": 0}), 0, net, split, config, make_optimiser(net, config), **given)


def linear(*more):
    return nn.Sequential(nn.Linear(5, 3), *more)


def under(make):
    net = linear()
    attach(net, make)
    return net


def frozen(net, *names):
    for name in names:
        net.get_parameter(name).requires_grad_(False)
    return net


# -- hindrance ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", [plain, linear, lambda: under(half), lambda: frozen(linear(), "0.bias")])
def test_nothing_hinders_networks_alike(net):
    assert hindrance(steps(net()), steps(net())) == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"stepped": print}, "the method does something of its own in every step"),
        ({"loss": nn.functional.cross_entropy}, "the method does something of its own in every step"),
        ({"net": under(lambda name, weight: Positive(torch.randn_like(weight)))}, "their masks move with the weights"),
        ({"net": linear().requires_grad_(False)}, "nothing trains in this epoch"),
    ],
)
def test_what_a_run_does_itself_hinders(given, said):
    """Also where the first does just the same."""
    net = given.get("net") or plain()
    made = Steps(Run(None, {"seed": 0}), 0, net, IMAGES.train, CONFIG, None, given.get("loss"), given.get("stepped"))
    assert hindrance(made, made) == said


def test_a_compiled_network_hinders(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda net: net)
    made = steps(config=attrs.evolve(CONFIG, compile=True))
    assert hindrance(made, made) == "their networks are compiled"


UNLIKE = {
    "options": (steps(config=attrs.evolve(CONFIG, lr=0.1)), steps()),
    "shapes": (steps(nn.Linear(5, 4)), steps(nn.Linear(5, 3))),
    "dtypes": (steps(nn.Linear(5, 3).double()), steps(nn.Linear(5, 3))),
    "layers": (steps(linear(nn.ReLU())), steps(linear(nn.Tanh()))),
    "rates of dropout": (steps(linear(nn.Dropout(0.1))), steps(linear(nn.Dropout(0.2)))),
    "masks": (steps(under(half)), steps(linear())),
    "buffers": (steps(linear(nn.BatchNorm1d(3))), steps(linear(nn.BatchNorm1d(3, track_running_stats=False)))),
    "what trains": (steps(frozen(linear(), "0.bias")), steps(linear())),
    "number of images": (steps(split=IMAGES.train.part(torch.arange(49))), steps()),
    "gradient norms": (steps(gradient_norm=True), steps()),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_unlike_runs_hinder_each_other(name):
    one, other = UNLIKE[name]
    for pair in ((one, other), (other, one)):
        assert hindrance(*pair) == "their networks, data or options differ"
    assert hindrance(one, one) == hindrance(other, other) == ""


# -- what then happens -------------------------------------------------------------------------------------------------


def identical(one, other):
    return one.lines == other.lines and not unequal(one.state, other.state) and not unequal(one.optimiser, other.optimiser)


def noisy():
    return Double(nn.Linear(5, 32), nn.ReLU(), nn.Dropout(0.4), nn.Linear(32, 3))


def test_runs_that_cannot_be_stacked_draw_from_streams_of_their_own(tmp_path):
    """One after the other they come to the very same as alone, dropout and all."""

    def between(net, seed, epoch):
        with torch.no_grad():
            net[0].weight.add_(0.1 * torch.randn(net[0].weight.shape))

    asked = {"loss": nn.functional.cross_entropy, "between": between}
    ended = beside(noisy, CONFIG, tmp_path, **asked)
    for one, other in zip(alone(noisy, CONFIG, tmp_path, **asked), ended, strict=True):
        assert identical(one, other)
        assert other.told == ["the runs are trained one after the other: the method does something of its own in every step"], (
            "once a run, not once an epoch"
        )


class Branching(nn.Module):
    """Looks at its input before it decides."""

    def forward(self, x):
        return x if x.sum() > 0 else -x


BEYOND = {
    "branches": lambda: Double(Branching(), nn.Linear(5, 3)),
    "averages of all": lambda: Double(nn.Linear(5, 4, bias=False), nn.BatchNorm1d(4, momentum=None), nn.Linear(4, 3)),
}


@pytest.mark.parametrize("name", BEYOND)
def test_networks_that_vmap_cannot_pass_are_trained_one_after_the_other(name, tmp_path):
    ended = beside(BEYOND[name], CONFIG, tmp_path)
    for one, other in zip(alone(BEYOND[name], CONFIG, tmp_path), ended, strict=True):
        assert identical(one, other)
        (line,) = other.told
        assert line.startswith("the runs are trained one after the other: their network cannot be stacked (")


def test_a_failure_in_the_middle_of_an_epoch_leaves_no_trace(monkeypatch, tmp_path):
    """Steps that were made before it are made again from where they began."""
    made = []
    step = stack.Stack._step

    def failing(self, *given):
        made.append(1)
        if len(made) == 6:
            raise RuntimeError("out of\n memory")
        return step(self, *given)

    monkeypatch.setattr(stack.Stack, "_step", failing)
    ended = beside(plain, CONFIG, tmp_path)
    for one, other in zip(alone(plain, CONFIG, tmp_path), ended, strict=True):
        assert_close(one, other)
        assert other.told == ["the runs are trained one after the other: their network cannot be stacked (out of memory)"]
    assert len(made) == 4 + 2 + 4, "the second epoch is not stacked, the third is"


def test_runs_that_have_made_unlike_numbers_of_steps_are_not_stacked(tmp_path):
    """What a parameter's optimiser has done is one number for all runs."""

    def before(net, epoch):
        late = torch.initial_seed() == Run(None, {"seed": 1}).seed_for("epoch", 0, 1)
        net[0].requires_grad_(not late)

    config = attrs.evolve(CONFIG, optimizer="adam", lr=0.01)
    ended = beside(plain, config, tmp_path, before=before)
    for one, other in zip(alone(plain, config, tmp_path, before=before), ended, strict=True):
        assert identical(one, other)
    assert ended[0].told[0].endswith("their networks, data or options differ")
    assert "(their optimisers have not made equally many steps)" in ended[0].told[1]


def test_a_signal_is_no_reason_to_go_on_unstacked(monkeypatch, tmp_path):
    def stopped(self, number):
        raise Stopped(15)

    monkeypatch.setattr(stack.Stack, "epoch", stopped)
    with pytest.raises(Stopped):
        beside(plain, CONFIG, tmp_path)


class Own:
    """A plugin's split, of which training asks for its length and its batches only."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def to(self, device, workers=None):
        return self

    def batches(self, size, generator=None):
        for x, y in self.images.batches(size, generator):
            yield -x, y


class Negated(Images):
    """Images that hand out their batches otherwise."""

    def batches(self, size, generator=None, part=(0, 1)):
        for x, y in super().batches(size, generator, part):
            yield -x, y


@pytest.mark.parametrize("make", [Own, lambda images: Negated(images.x, images.y)])
def test_splits_of_a_plugins_own_are_asked_for_their_own_batches(make, tmp_path):
    data = attrs.evolve(IMAGES, train=make(IMAGES.train), test=make(IMAGES.test))
    ended = beside(plain, CONFIG, tmp_path, data=lambda seed: data)
    for one, other in zip(alone(plain, CONFIG, tmp_path, data=lambda seed: data), ended, strict=True):
        assert_close(one, other)
        assert other.told == []


# -- where it pays -----------------------------------------------------------------------------------------------------


def fc(*widths):
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *layers[:-1])


@pytest.mark.parametrize(
    ("net", "shape", "batch_size", "wanted"),
    [
        (fc(784, 32, 32, 10), (1, 28, 28), 64, True),
        (fc(64, 16, 10), (1, 8, 8), 128, True),
        (fc(784, 1000, 1000, 10), (1, 28, 28), 128, False),
        (fc(784, 32, 32, 10), (1, 28, 28), 4096, False),
        (fc(784, 300, 100, 10), (1, 28, 28), 8, True),
        (fc(784, 1000, 10), (1, 28, 28), 4, False),
        (conv_net((1, 8, 8), 10, (2, 2), (4, 4), bias=False), (1, 8, 8), 8, False),
    ],
)
def test_small_steps_of_linear_layers_pay_on_a_cpu(net, shape, batch_size, wanted):
    assert pays(net, shape, batch_size, CPU) is wanted


@pytest.mark.parametrize("training", [False, True])
def test_asking_leaves_the_network_as_it_was(training):
    net = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 3)).train(training)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert pays(net, (5,), 16, CPU)
    assert net.training is training
    assert not unequal(before, dict(net.state_dict()))
    assert all(parameter.grad is None for parameter in net.parameters())
