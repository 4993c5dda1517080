"""The mask protocol."""

import copy

import pytest
import torch
from torch import nn

from widenet.masks import Fixed, attach, density, layers, masks, modules, original, plain_state


class Net(nn.Module):
    """One of each kind of layer."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv1d(2, 3, 2)
        self.two = nn.Conv2d(2, 3, 3)
        self.three = nn.Conv3d(1, 2, 2)
        self.norm = nn.BatchNorm1d(4)
        self.flat = nn.Linear(5, 4)


def half(name, weight):
    return Fixed(torch.arange(weight.numel()).reshape(weight.shape) % 2 == 0)


def test_attach_reaches_every_kind_of_layer_in_order():
    net = Net()
    names = ["one", "two", "three", "flat"]
    assert [name for name, _ in layers(net)] == names
    before = {name: module.weight.clone() for name, module in layers(net)}
    attach(net, half)
    assert list(masks(net)) == list(density(net)) == list(modules(net)) == names
    for name, module in layers(net):
        mask = masks(net)[name]
        assert mask.dtype == torch.bool
        assert mask.shape == module.weight.shape
        assert torch.equal(module.weight, before[name] * mask)
        assert torch.equal(original(module), before[name])
        assert density(net)[name] == pytest.approx(mask.float().mean().item())


def test_none_leaves_a_layer_alone_and_a_second_mask_replaces_the_first():
    net = Net()
    weight = net.flat.weight.clone()
    attach(net, lambda name, w: half(name, w) if name == "flat" else None)
    assert list(masks(net)) == ["flat"]
    attach(net, lambda name, w: Fixed(torch.ones_like(w)) if name == "flat" else None)
    assert torch.equal(net.flat.weight, weight)
    assert density(net) == {"flat": 1.0}


def test_a_copy_can_be_masked_otherwise():
    net = Net()
    attach(net, half)
    twin = copy.deepcopy(net)
    attach(twin, lambda name, w: Fixed(torch.ones_like(w)))
    assert density(net)["flat"] == 0.5
    assert density(twin)["flat"] == 1.0
    assert net.flat.weight.count_nonzero() == 10


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="one has shape"):
        attach(Net(), lambda name, w: Fixed(torch.ones(2, 2)))


def test_gradients_reach_kept_weights_only():
    net = nn.Sequential(nn.Linear(4, 3))
    attach(net, half)
    net(torch.randn(5, 4)).sum().backward()
    gradient = original(net[0]).grad
    assert torch.equal(gradient != 0, masks(net)["0"])


def test_plain_state_fits_the_network_without_masks():
    net = Net()
    plain = {name: value.clone() for name, value in net.state_dict().items()}
    attach(net, half)
    state = plain_state(net)
    assert state.keys() == plain.keys()
    assert all(torch.equal(state[name], plain[name]) for name in plain)
    Net().load_state_dict(state)


def test_plain_state_takes_kept_weights_as_they_act():
    class Flipped(Fixed):
        def forward(self, weight):
            return -2 * super().forward(weight)

    net = nn.Sequential(nn.Linear(4, 3))
    weight = net[0].weight.detach().clone()
    attach(net, lambda name, w: Flipped(half(name, w).mask))
    mask = masks(net)["0"]
    state = plain_state(net)["0.weight"]
    assert torch.equal(state[mask], -2 * weight[mask])
    assert torch.equal(state[~mask], weight[~mask])


def test_masks_are_copies():
    net = nn.Sequential(nn.Linear(4, 3))
    attach(net, half)
    masks(net)["0"].fill_(True)
    assert density(net)["0"] == 0.5
