"""Masks that are chosen from what training moves."""

import copy

import pytest
import torch
from masking import Positive
from torch import nn
from torch.nn.utils import parametrize

from widenet.components import Train
from widenet.data import Data, Images
from widenet.masks import (
    Chosen,
    attach,
    factor,
    masks,
    modules,
    original,
    refresh,
)
from widenet.runs import Run
from widenet.train import fit


class OwnSign(Chosen):
    """Keeps positive weights, by nothing but the weights."""

    def __init__(self, weight):
        super().__init__(weight)
        self.count = 0

    def ranked(self, weight):
        return weight

    def choose(self, weight):
        self.count += 1
        self.mask.copy_(weight > 0)

    def forward(self, weight):
        self.refresh(weight)
        return weight * factor(self.mask, weight) + weight - weight.detach()


def chosen(kind=Positive):
    """A small network, its first layer's mask and the tensor that mask is chosen by."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    attach(net, lambda name, weight: kind(torch.randn_like(weight)) if name == "0" else None)
    mask = modules(net)["0"]
    return net, mask, mask.ranked(original(net[0]))


@pytest.mark.parametrize("kind", [Positive, OwnSign])
def test_a_mask_is_chosen_once_until_its_scores_change(kind):
    net, mask, by = chosen(kind)
    x = torch.randn(5, 6)
    assert mask.count <= 1, "attached"
    for _ in range(3):
        net(x)
        masks(net)
        refresh(net)
        with torch.inference_mode(), parametrize.cached():
            net(x)
    assert mask.count == 1
    assert torch.equal(masks(net)["0"], by > 0)


CHANGES = {
    "in place": lambda by: by.mul_(-1),
    "an entry": lambda by: by[0].neg_(),
    "a copy": lambda by: by.copy_(-by),
    "other data": lambda by: setattr(by, "data", -by.data),
}


@pytest.mark.parametrize("kind", [Positive, OwnSign])
@pytest.mark.parametrize("how", CHANGES)
def test_a_change_is_noticed(kind, how):
    net, mask, by = chosen(kind)
    before = masks(net)["0"]
    with torch.no_grad():
        CHANGES[how](by)
    assert mask.stale(original(net[0]).detach())
    now = mask.ranked(original(net[0]))
    assert torch.equal(masks(net)["0"], now > 0)
    assert not torch.equal(masks(net)["0"], before)
    assert mask.count == 2
    assert not mask.stale(original(net[0]).detach())


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.Adam])
@pytest.mark.parametrize("kind", [Positive, OwnSign])
def test_a_step_of_any_optimiser_is_noticed(kind, optimiser, fused):
    net, mask, by = chosen(kind)
    steps_of = optimiser([by], lr=10.0, fused=fused)
    net(torch.randn(5, 6)).square().sum().backward()
    before = masks(net)["0"]
    steps_of.step()
    assert torch.equal(masks(net)["0"], by > 0)
    assert not torch.equal(masks(net)["0"], before)
    assert mask.count == 2


def test_loaded_scores_are_noticed():
    net, mask, by = chosen()
    other = copy.deepcopy(net)
    with torch.no_grad():
        by.neg_()
    assert "mask" not in " ".join(net.state_dict()), "scores decide the mask"
    net(torch.randn(5, 6))
    net.load_state_dict(other.state_dict())
    assert torch.equal(masks(net)["0"], masks(other)["0"])
    assert torch.equal(masks(net)["0"], by > 0)
    assert mask.count == 3


def test_a_copy_chooses_for_itself():
    net, mask, by = chosen()
    masks(net)
    twin = copy.deepcopy(net)
    with torch.no_grad():
        modules(twin)["0"].scores.neg_()
    assert torch.equal(masks(twin)["0"], by < 0)
    assert torch.equal(masks(net)["0"], by > 0)
    assert mask.count == 1


def test_a_chosen_mask_that_does_not_say_how_is_refused():
    class Silent(Chosen):
        def forward(self, weight):
            return weight * factor(self.mask, weight)

    mask = Silent(torch.ones(2, 2))
    mask.scores = nn.Parameter(torch.ones(2, 2))
    net = nn.Sequential(nn.Linear(2, 2))
    attach(net, lambda name, weight: mask)
    with pytest.raises(TypeError, match="Silent does not say how to choose its mask"):
        masks(net)


def test_training_leaves_the_mask_of_the_last_scores(tmp_path):
    net, mask, by = chosen()
    generator = torch.Generator().manual_seed(0)
    split = Images(torch.randn(40, 6, generator=generator), torch.arange(40) % 3)
    for _ in fit(Run(tmp_path, {"seed": 0}), net, Data("noise", split, split, (6,), 3), Train(epochs=3, batch_size=10, lr=1)):
        assert torch.equal(mask.mask, by > 0)
    assert mask.count == 12 + 1, "once a step, and once before the first"
