"""Following small networks: what binds units, what fixes them, and that the network is left alone."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from widenet import UsageError
from widenet.masks import Fixed, attach, masks
from widenet_weight_symmetry.follow import follow
from widenet_weight_symmetry.symmetry import count_spaces


def toy(forward, shape=(3, 6, 6), **modules):
    """A network of these modules, and the shape of its inputs."""

    class Toy(nn.Module):
        def __init__(self):
            super().__init__()
            for name, module in modules.items():
                setattr(self, name, module)

    Toy.forward = forward
    return Toy(), shape


def conv(inputs, outputs, kernel=3, **options):
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, **options)


def spaces(net, shape):
    return {space.name: space for space in follow(net, shape).spaces}


def head(x, net):
    return net.fc(x.mean((2, 3)))


def around(between, channels=8, **modules):
    """conv -> between -> conv2 -> head; the space of the first is what matters."""
    widths = {"conv": conv(3, 8), "conv2": conv(channels, 5), "fc": nn.Linear(5, 2)}
    return toy(lambda net, x: head(net.conv2(between(net, net.conv(x))), net), **widths, **modules)


FREE = {
    "relu": lambda net, x: F.relu(x, inplace=True),
    "gelu": lambda net, x: F.gelu(x),
    "arithmetic": lambda net, x: 1 - 2 * x / 3 + x**2,
    "dropout": lambda net, x: F.dropout(x, 0.5, net.training),
    "batch norm": lambda net, x: net.norm(x),
    "layer norm": lambda net, x: F.layer_norm(x, x.shape[1:]),
    "channels last": lambda net, x: net.last(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
    "one group": lambda net, x: net.group(x),
    "max pool": lambda net, x: F.max_pool2d(x, 2),
    "adaptive pool": lambda net, x: F.adaptive_avg_pool2d(x, (2, 3)),
    "upsampling": lambda net, x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda net, x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "padding": lambda net, x: F.pad(x, (1, 1, 2, 0)),
    "strides": lambda net, x: x[:, :, ::2, 1:],
    "scale": lambda net, x: x * net.scale.view(1, -1, 1, 1),
    "prelu": lambda net, x: net.prelu(x),
    "spatial gate": lambda net, x: x * torch.sigmoid(net.gate(x)),
    "there and back": lambda net, x: x.flatten(2).transpose(1, 2).transpose(1, 2).reshape(x.shape),
    "softmax": lambda net, x: F.softmax(x, 1),
}
EXTRA = {
    "norm": nn.BatchNorm2d(8),
    "last": nn.LayerNorm(8),
    "group": nn.GroupNorm(1, 8),
    "prelu": nn.PReLU(8),
    "gate": conv(8, 1),
    "scale": nn.Parameter(torch.rand(8)),
}


@pytest.mark.parametrize("name", FREE)
def test_units_stay_free(name):
    space = spaces(*around(FREE[name], **EXTRA))["conv"]
    assert (space.size, space.fixed, space.tied) == (8, "", ())
    assert list(space.columns) == (["gate", "conv2"] if name == "spatial gate" else ["conv2"])


FIXED = {
    "groups": lambda net, x: F.group_norm(x, 2),
    "cumulative sum": lambda net, x: x.cumsum(1),
    "sorting": lambda net, x: x.sort(1).values,
    "different treatment": lambda net, x: torch.cat([F.relu(x[:, :4]), x[:, 4:]], 1),
    "one unit apart": lambda net, x: x + x[:, :1],
    "a constant": lambda net, x: x * torch.arange(8.0).view(1, -1, 1, 1),
    "an input": lambda net, x: x + net.inputs,
    "neighbours": lambda net, x: F.local_response_norm(x, 3),
    "a weight of its own": lambda net, x: F.conv2d(x, net.kernel),
    "a layer's weight": lambda net, x: F.conv2d(x, net.square.weight, padding=1),
    "chosen by value": lambda net, x: x * (x.mean((0, 2, 3)).argmax() == 3),
    "unseen": lambda net, x: torch.func.vmap(lambda one: one.cumsum(0))(x),
    "unseen besides": lambda net, x: x + torch.func.vmap(lambda one: one.cumsum(0))(x).sum(1, keepdim=True) * net.tilt,
    "NumPy": lambda net, x: x * torch.from_numpy(np.cumsum(x.numpy(), 1)),
}


@pytest.mark.parametrize("name", FIXED)
def test_units_are_fixed_and_it_is_said_why(name):
    modules = {"square": conv(8, 8), "tilt": torch.linspace(0, 1, 8).view(1, -1, 1, 1), "kernel": torch.rand(8, 8, 1, 1)}
    net, shape = around(FIXED[name], **modules)
    net.register_forward_pre_hook(lambda net, args: setattr(net, "inputs", args[0].repeat(1, 3, 1, 1)[:, :8]))
    space = spaces(net, shape)["conv"]
    assert space.fixed
    assert count_spaces(follow(net, shape))["layers"]["conv"]["permutations"] == 1


@pytest.mark.parametrize(
    ("move", "left"), [(lambda x: x.flip(1), 24), (lambda x: x.roll(1, 1), 1), (lambda x: x.roll(4, 1), 24)]
)
def test_units_of_one_layer_that_are_bound_to_each_other(move, left):
    net, shape = around(lambda net, x: x + move(x))
    assert count_spaces(follow(net, shape))["layers"]["conv"]["permutations"] == left


def chained(forward, **widths):
    """Convolutions of these (inputs, outputs, groups), and a head that reads 5 channels."""
    return toy(
        forward, **{name: conv(*sizes[:2], groups=sizes[2] if sizes[2:] else 1) for name, sizes in widths.items()}, fc=HEAD
    )


HEAD = nn.Linear(5, 2)


def test_a_sum_binds():
    net, shape = chained(lambda net, x: head(net.c(net.a(x) + net.b(x)), net), a=(3, 4), b=(3, 4), c=(4, 5))
    found = spaces(net, shape)
    assert list(found) == ["a", "c"]
    assert found["a"].tied == ("b",)
    assert list(found["a"].columns) == ["c"]


def test_joined_maps_keep_their_units():
    net, shape = chained(lambda net, x: net.c(torch.cat([net.a(x), net.b(x)], 1).flatten(1)), a=(3, 4), b=(3, 5))
    net.c = nn.Linear(9 * 36, 2)
    found = spaces(net, shape)
    assert found["a"].columns["c"].tolist() == np.arange(4 * 36).reshape(4, 36).tolist()
    assert found["b"].columns["c"].tolist() == np.arange(4 * 36, 9 * 36).reshape(5, 36).tolist()


def test_a_map_read_twice():
    net, shape = toy(
        lambda net, x: head(net.b(torch.cat([net.a(x), F.relu(net.a(x))], 1)), net),
        a=conv(3, 4),
        b=conv(8, 5),
        fc=nn.Linear(5, 2),
    )
    space = spaces(net, shape)["a"]
    assert (space.fixed, space.columns["b"].tolist()) == ("", [[0, 4], [1, 5], [2, 6], [3, 7]])


def test_padded_channels_are_other_units():
    net, shape = chained(
        lambda net, x: head(net.c(net.b(net.a(x)) + F.pad(net.a(x), (0, 0, 0, 0, 1, 2))), net), a=(3, 4), b=(4, 7), c=(7, 5)
    )
    found = spaces(net, shape)
    assert [(space.name, space.size, space.fixed) for space in found.values()] == [("a", 4, ""), ("b", 3, ""), ("c", 5, "")]
    assert found["a"].rows["b"].ravel().tolist() == [1, 2, 3, 4]
    assert found["b"].rows["b"].ravel().tolist() == [0, 5, 6]


def test_depthwise_units_are_one_with_what_they_read():
    net, shape = chained(lambda net, x: head(net.c(net.b(net.a(x))), net), a=(3, 4), b=(4, 4, 4), c=(4, 5))
    structure = follow(net, shape)
    space = structure.spaces[0]
    assert (space.name, space.tied, list(space.columns)) == ("a", ("b",), ["c"])
    assert structure.layers["b"].unitwise
    assert count_spaces(structure)["layers"]["a"]["permutations"] == 24
    mask = torch.ones(4, 1, 3, 3).bool()
    mask[2, 0, 1, 1] = False
    assert count_spaces(structure.masked({"b": mask}))["layers"]["a"]["permutations"] == 6
    mask[2] = False
    row = count_spaces(structure.masked({"b": mask}))["layers"]["a"]
    assert (row["permutations"], row["zeroed_neurons"], row["unique_neurons"]) == (6, 1, 1)


def test_a_depthwise_layer_on_inputs_is_fixed_to_them():
    net, shape = chained(lambda net, x: head(net.c(net.b(x)), net), b=(3, 3, 3), c=(3, 5))
    assert count_spaces(follow(net, shape))["layers"]["b"]["permutations"] == 1


def test_grouped_layers_leave_the_units_of_a_group():
    net, shape = chained(lambda net, x: head(net.c(net.b(net.a(x))), net), a=(3, 4), b=(4, 6, 2), c=(6, 5))
    rows = count_spaces(follow(net, shape))["layers"]
    assert [rows[name]["permutations"] for name in "abc"] == [2 * 2, 6 * 6, 120]


def test_a_layer_that_is_used_twice():
    net, shape = toy(
        lambda net, x: net.fc(F.relu(net.b(F.relu(net.b(net.a(x)))))),
        (3,),
        a=nn.Linear(3, 4),
        b=nn.Linear(4, 4),
        fc=nn.Linear(4, 2),
    )
    (space,) = follow(net, shape).spaces
    assert (space.name, space.tied, space.fixed, list(space.columns)) == ("a", ("b",), "", ["b", "fc"])


def test_layers_that_share_a_weight_are_fixed():
    net, shape = toy(
        lambda net, x: net.fc(net.c(F.relu(net.b(x)))), (4,), b=nn.Linear(4, 4), c=nn.Linear(4, 4), fc=nn.Linear(4, 2)
    )
    net.c.weight = net.b.weight
    assert all("share a weight" in space.fixed for space in follow(net, shape).spaces)


def test_units_that_share_a_norm_are_bound():
    net, shape = chained(lambda net, x: head(net.c(net.norm(net.b(net.norm(net.a(x))))), net), a=(3, 4), b=(4, 4), c=(4, 5))
    net.norm = nn.BatchNorm2d(4)
    assert [(space.name, space.tied) for space in follow(net, shape).spaces] == [("a", ("b",)), ("c", ())]


def test_attention_is_fixed_and_what_follows_is_not():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    net, shape = toy(
        lambda net, x: net.fc(net.layer(net.a(x)).mean(1)), (5, 3), a=nn.Linear(3, 8), layer=layer, fc=nn.Linear(8, 2)
    )
    found = spaces(net, shape)
    assert found["a"].fixed
    assert found["layer.self_attn.out_proj"].fixed
    assert found["layer.linear1"].fixed == ""


def test_a_layer_along_another_axis_fixes_what_it_passes():
    net, shape = toy(
        lambda net, x: net.fc(net.b(net.a(x).transpose(1, 2)).flatten(1)),
        (5, 3),
        a=nn.Linear(3, 4),
        b=nn.Linear(5, 6),
        fc=nn.Linear(24, 2),
    )
    assert spaces(net, shape)["a"].fixed


def test_a_layer_that_is_not_called_is_fixed():
    net, shape = toy(lambda net, x: net.fc(net.a(x)), (3,), a=nn.Linear(3, 4), spare=nn.Linear(3, 7), fc=nn.Linear(4, 2))
    assert spaces(net, shape)["spare"].fixed == "not called in the forward pass"
    assert spaces(net, shape)["a"].fixed == ""


def test_several_outputs():
    net, shape = toy(
        lambda net, x: {"one": net.b(net.a(x)), "two": [net.c(net.a(x))]},
        (3,),
        a=nn.Linear(3, 4),
        b=nn.Linear(4, 2),
        c=nn.Linear(4, 5),
    )
    assert list(spaces(net, shape)) == ["a"]


def test_weights_and_masks_that_are_zero_hide_nothing():
    net, shape = around(lambda net, x: x.cumsum(1))
    nn.init.zeros_(net.conv.weight)
    attach(net, lambda name, weight: Fixed(torch.zeros_like(weight)) if name == "conv2" else None)
    assert spaces(net, shape)["conv"].fixed


def test_the_network_is_left_as_it_was():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            return F.dropout(x, 0.5)  # draws in evaluation mode too

    net, shape = around(lambda net, x: net.counting(net.norm(x)), norm=nn.BatchNorm2d(8), counting=Counting())
    attach(net, lambda name, weight: Fixed(torch.rand_like(weight) < 0.5) if name != "fc" else None)
    net.train()
    net.conv2.eval()
    modes = [module.training for module in net.modules()]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules()]
    random = torch.get_rng_state()
    structure = follow(net, shape)
    assert structure.layers["conv"].mask.equal(masks(net)["conv"])
    assert structure.layers["fc"].mask is None
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules()] == hooks
    assert torch.equal(torch.get_rng_state(), random)


def test_a_masked_bias_is_taken_along():
    net, shape = toy(lambda net, x: net.fc(net.a(x)), (3,), a=nn.Linear(3, 4), fc=nn.Linear(4, 2))
    attach(net, lambda name, value: Fixed(torch.arange(4) > 0) if name == "a.bias" else None, biases=True)
    assert count_spaces(follow(net, shape))["layers"]["a"]["permutations"] == 6


def test_a_network_that_is_one_layer_has_no_units_to_permute():
    assert follow(nn.Linear(3, 2), (3,)).spaces == ()


def test_a_failing_forward_pass_is_one_line():
    net, _ = toy(lambda net, x: net.fc(x), fc=nn.Linear(4, 2))
    with pytest.raises(UsageError, match=r"the network cannot be run on inputs of shape \(3,\) \(RuntimeError: "):
        follow(net, (3,))
    assert not net.fc._forward_hooks


def test_a_weight_that_is_used_outside_of_its_layer_fixes_its_units():
    net, shape = toy(
        lambda net, x: net.fc(net.a(x).relu()) + F.linear(x, net.a.weight)[:, :2],
        (3,),
        a=nn.Linear(3, 6),
        fc=nn.Linear(6, 2),
    )
    assert "outside of it" in spaces(net, shape)["a"].fixed


def test_a_buffer_that_tells_units_apart_fixes_them():
    net, shape = toy(lambda net, x: net.fc(net.a(x) * net.scale), (3,), a=nn.Linear(3, 6), fc=nn.Linear(6, 2))
    net.register_buffer("scale", torch.arange(6.0) + 1)
    assert spaces(net, shape)["a"].fixed
    net.scale = nn.Parameter(net._buffers.pop("scale"))  # one that is trained moves along with its unit
    assert not spaces(net, shape)["a"].fixed


def test_a_scale_that_is_nearly_nothing_hides_nothing():
    net, shape = toy(
        lambda net, x: x[:, :2] + net.scale * net.fc((net.a(x) * torch.arange(6)).relu()),
        (3,),
        a=nn.Linear(3, 6),
        fc=nn.Linear(6, 2),
    )
    net.scale = nn.Parameter(torch.full((2,), 1e-7))
    assert spaces(net, shape)["a"].fixed
