"""The mask protocol."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from masking import Positive, half
from torch import nn

from widenet.masks import (
    Fixed,
    attach,
    density,
    factor,
    layers,
    masked,
    masks,
    modules,
    original,
    places,
    plain_state,
    steps,
)
from widenet.train.process import placed


class Net(nn.Module):
    """One of each kind of layer."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv1d(2, 3, 2)
        self.two = nn.Conv2d(2, 3, 3)
        self.three = nn.Conv3d(1, 2, 2)
        self.norm = nn.BatchNorm1d(4)
        self.flat = nn.Linear(5, 4)


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


# -- biases ------------------------------------------------------------------------------------------------------------

BOTH = ["one", "one.bias", "two", "two.bias", "three", "three.bias", "flat", "flat.bias"]


def parameters(net):
    """Everything that can be masked, as the network uses it, by its name."""
    return {name: getattr(module, parameter) for name, module, parameter in places(net, biases=True)}


def test_places_name_weights_and_those_biases_there_are():
    net = Net()
    net.two.register_parameter("bias", None)
    assert [(name, parameter) for name, _, parameter in places(net)] == [
        (name, "weight") for name in ("one", "two", "three", "flat")
    ]
    found = list(places(net, biases=True))
    assert [name for name, _, _ in found] == [name for name in BOTH if name != "two.bias"]
    for name, module, parameter in found:
        assert module is getattr(net, name.removesuffix(".bias"))
        assert parameter == ("bias" if name.endswith(".bias") else "weight")


def test_biases_are_masked_beside_weights():
    net = Net()
    before = {name: value.detach().clone() for name, value in parameters(net).items()}
    attach(net, half, biases=True)
    assert list(masks(net)) == list(density(net)) == list(modules(net)) == [name for name, _, _ in masked(net)] == BOTH
    assert [name for name, _, _ in places(net, biases=True)] == BOTH
    for name, value in parameters(net).items():
        assert torch.equal(value, before[name] * masks(net)[name])
        assert masks(net)[name].shape == value.shape
    for name, mask, under in masked(net):
        assert mask is modules(net)[name]
        assert torch.equal(under, before[name])
    assert torch.equal(original(net.flat, "bias"), before["flat.bias"])


def test_biases_are_offered_only_when_asked_for():
    net, offered = Net(), []
    attach(net, lambda name, tensor: offered.append((name, tuple(tensor.shape))))
    assert [name for name, _ in offered] == ["one", "two", "three", "flat"]
    offered.clear()
    attach(net, lambda name, tensor: offered.append((name, tuple(tensor.shape))), biases=True)
    assert dict(offered) == {name: tuple(value.shape) for name, value in parameters(Net()).items()}
    assert masks(net) == {}


def test_a_bias_alone_can_be_masked_and_its_mask_replaced():
    net = Net()
    weight, bias = net.flat.weight.detach().clone(), net.flat.bias.detach().clone()
    attach(net, lambda name, b: half(name, b) if name == "flat.bias" else None, biases=True)
    assert list(masks(net)) == ["flat.bias"]
    assert torch.equal(net.flat.weight, weight)
    assert torch.equal(net.flat.bias, bias * torch.tensor([1, 0, 1, 0]))
    attach(net, lambda name, b: Fixed(torch.ones_like(b)) if name == "flat.bias" else None, biases=True)
    assert torch.equal(net.flat.bias, bias)
    assert len(steps(net.flat, "bias")) == 1
    attach(net, half)
    assert list(masks(net)) == ["one", "two", "three", "flat", "flat.bias"]
    assert density(net)["flat.bias"] == 1


def test_a_bias_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"the mask for one\.bias has shape \(2, 2\), its weight \(3,\)"):
        attach(Net(), lambda name, w: Fixed(torch.ones(2, 2)) if name.endswith("bias") else None, biases=True)


def test_plain_state_undoes_masks_of_biases_too():
    net = Net()
    plain = {name: value.clone() for name, value in net.state_dict().items()}
    attach(net, half, biases=True)
    state = plain_state(net)
    assert state.keys() == plain.keys()
    assert all(torch.equal(state[name], plain[name]) for name in plain)
    fresh = Net()
    fresh.load_state_dict(state)
    attach(fresh, lambda name, _: Fixed(masks(net)[name]) if name in masks(net) else None, biases=True)
    for name, value in parameters(fresh).items():
        assert torch.equal(value, parameters(net)[name])


def test_plain_state_takes_kept_biases_as_they_act():
    class Doubled(Fixed):
        def forward(self, weight):
            return 2 * super().forward(weight)

    net = nn.Sequential(nn.Linear(3, 4))
    bias = net[0].bias.detach().clone()
    attach(net, lambda name, b: Doubled(half(name, b).mask) if name == "0.bias" else None, biases=True)
    assert torch.equal(plain_state(net)["0.bias"], bias * torch.tensor([2, 1, 2, 1]))


# -- a network that is one layer ---------------------------------------------------------------------------------------


def test_a_single_layer_is_named_by_nothing():
    net = nn.Linear(5, 4)
    weight, bias = net.weight.detach().clone(), net.bias.detach().clone()
    attach(net, half, biases=True)
    assert list(masks(net)) == list(modules(net)) == [name for name, _, _ in places(net, biases=True)] == ["", "bias"]
    state = plain_state(net)
    assert list(state) == ["weight", "bias"]
    assert torch.equal(state["weight"], weight)
    assert torch.equal(state["bias"], bias)
    x = torch.randn(3, 5)
    torch.testing.assert_close(net(x), x @ (weight * half("", weight).mask).T + bias * half("", bias).mask)


def test_a_layer_named_bias_is_no_bias():
    net = nn.ModuleDict({"bias": nn.Linear(3, 2), "weight": nn.Linear(2, 2)})
    attach(net, half, biases=True)
    assert list(masks(net)) == ["bias", "bias.bias", "weight", "weight.bias"]
    assert plain_state(net).keys() == {"bias.weight", "bias.bias", "weight.weight", "weight.bias"}


# -- the mask as a factor ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_the_factor_is_ones_and_zeros_of_the_weights_kind(dtype):
    mask = torch.rand(3, 4, 2, 2) < 0.5
    for layout in (mask, mask.contiguous(memory_format=torch.channels_last), mask[:, ::2], mask.transpose(0, 1)):
        found = factor(layout, torch.empty(1, dtype=dtype))
        assert found.dtype == dtype
        assert torch.equal(found, layout.to(dtype))


@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_a_kept_weight_is_exactly_itself(values):
    weight = torch.tensor(values)
    mask = torch.arange(len(values)) % 2 == 0
    assert torch.equal(Fixed(mask)(weight), torch.where(mask, weight, 0))


# -- where networks are placed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("masked_by", [None, "fixed", "chosen"])
def test_every_kind_of_layer_is_placed(masked_by):
    torch.manual_seed(0)
    net = Net()
    if masked_by:
        attach(net, half if masked_by == "fixed" else lambda name, weight: Positive(torch.randn_like(weight)), biases=True)
    plain, found = plain_state(net), masks(net)
    pictures, clips, line = torch.randn(2, 2, 5, 5), torch.randn(2, 1, 3, 3, 3), torch.randn(2, 2, 4)
    inputs = {"one": line, "two": pictures, "three": clips, "flat": torch.randn(2, 5)}
    before = {name: getattr(net, name)(x) for name, x in inputs.items()}
    assert placed(net, "cpu") is net
    for tensor in [*net.parameters(), *net.buffers()]:
        assert tensor.is_contiguous(memory_format=torch.channels_last if tensor.dim() == 4 else torch.contiguous_format)
    assert not original(net.two).is_contiguous(), "two inputs, nine places"
    for name, x in inputs.items():
        torch.testing.assert_close(getattr(net, name)(x), before[name])
    assert all(torch.equal(value, plain[name]) for name, value in plain_state(net).items())
    assert all(torch.equal(value, found[name]) for name, value in masks(net).items())


def test_placed_parameters_stay_those_an_optimiser_has():
    net = Net()
    held = list(net.parameters())
    placed(net, "cpu")
    assert all(a is b for a, b in zip(held, net.parameters(), strict=True))
    net.two(torch.randn(1, 2, 4, 4)).sum().backward()
    assert net.two.weight.grad is held[2].grad
    assert net.two.weight.grad.shape == (3, 2, 3, 3)
