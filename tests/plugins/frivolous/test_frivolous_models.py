"""The study's networks: parameters as recorded, operators as TensorFlow's, the layers that are captured."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from widenet.errors import UsageError
from widenet.options import build as build_options
from widenet.options import resolve, split_spec
from widenet_frivolous.custom_layers import ResponseNorm, SamePool, make_activation
from widenet_frivolous.models import MODELS

GOLDEN = Path(__file__).parents[2] / "golden" / "frivolous"
COUNTS = json.loads((GOLDEN / "param_counts.json").read_text())
BY_NAME = {model.name: model for model in MODELS}
CIFAR = (3, 32, 32)


def build(spec, shape=CIFAR, classes=10):
    """The network that ``--arch`` makes."""
    name, values = split_spec(spec)
    config = BY_NAME[name].config
    return BY_NAME[name].function(shape, classes, build_options(config, resolve(config, values, name), name))


def count(spec, shape=CIFAR, classes=10):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(spec, shape, classes).parameters())


def recorded(family):
    return [pytest.param(width, number, id=width) for width, number in COUNTS[family].items()]


@pytest.mark.parametrize(("width", "number"), recorded("alexnet_cifar"))
def test_parameters_of_alexnet(width, number):
    assert count(f"alexnet-cifar:width={width}") == number


@pytest.mark.parametrize(("width", "number"), recorded("resnet56_cifar"))
def test_parameters_of_resnet56(width, number):
    assert count(f"resnet56-cifar:width={width}") == number


@pytest.mark.parametrize(("width", "number"), recorded("resnet18_imagenet_1001"))
def test_parameters_of_resnet18(width, number):
    assert count(f"resnet18-width:width={width}", (3, 224, 224), 1001) == number


@pytest.mark.parametrize("d", [10, 10_000])
@pytest.mark.parametrize("width", [1, 2, 4, 8, 16])
def test_parameters_of_mlps(d, width):
    assert count(f"mlp1:width={width}", (d,), 2) == COUNTS[f"mlp_{d}dim"][str(width)]


def auxiliary(width, inputs=768):
    """Parameters of the auxiliary classifier, which the records count: 1x1, 5x5 and a linear layer, no scales."""
    inputs, first, second = (int(size * width) for size in (inputs, 128, 768))
    return inputs * first + first + first * second * 25 + second + (second + 1) * 1001


def unscaled_branch(width):
    """What the original's branch of 192 channels at every width adds in mixed_17d, and to the four layers after it."""
    extra, block = 192 - int(192 * width), int(768 * width)
    return extra * block + extra + extra * 4 * int(192 * width)


@pytest.mark.parametrize(("width", "number"), recorded("inception_v3_1001"))
def test_parameters_of_inception(width, number):
    own = count(f"inception-v3-width:width={width}", (3, 299, 299), 1001)
    assert own + auxiliary(float(width)) + unscaled_branch(float(width)) == number


@pytest.mark.parametrize(("width", "number"), recorded("inception_v3_layer_1001"))
def test_parameters_of_inception_with_one_block_scaled(width, number):
    assert count(f"inception-v3-width:width_end={width}", (3, 299, 299), 1001) + auxiliary(1) == number


def test_inception_computes_what_torchvisions_does():
    torch.manual_seed(0)
    other = torchvision.models.Inception3(num_classes=5, aux_logits=False, init_weights=False).eval()
    net = build("inception-v3-width", (3, 75, 75), 5).eval()
    given = {name: value for name, value in other.state_dict().items() if not name.endswith("bn.weight")}
    net.load_state_dict(dict(zip(net.state_dict(), given.values(), strict=True)))
    x = torch.randn(2, 3, 75, 75)
    with torch.no_grad():
        torch.testing.assert_close(net(x), other(x), rtol=1e-4, atol=1e-5)


# -- TensorFlow's operators -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def operators():
    with np.load(GOLDEN / "tf_preproc_ops.npz") as file:
        return {key: torch.from_numpy(file[key]).movedim(-1, 1) for key in file}


def test_pool_and_response_norm_as_recorded(operators):
    pooled = SamePool()(operators["act"])
    torch.testing.assert_close(pooled, operators["maxpool3x3s2_same"], rtol=0, atol=0)
    torch.testing.assert_close(ResponseNorm()(pooled), operators["lrn"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3, 24])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_response_norm_is_pytorchs(channels, layout):
    x = (300 * torch.randn(2, channels, 4, 5)).to(memory_format=layout).requires_grad_()
    other = nn.LocalResponseNorm(5, alpha=1e-4)
    mine, theirs = ResponseNorm()(x), other(x)
    torch.testing.assert_close(mine, theirs)
    weights = torch.randn_like(mine)
    gradients = [torch.autograd.grad((made * weights).sum(), x)[0] for made in (mine, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)
    assert mine.is_contiguous(memory_format=layout) or channels == 1 or layout == torch.contiguous_format


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
def test_pool_windows_are_those_of_same_padding(height, width, seed):
    x = torch.randn(1, 2, height, width, generator=torch.Generator().manual_seed(seed))
    ends = [(max((-(-side // 2) - 1) * 2 + 3 - side, 0), side) for side in (width, height)]
    padding = [part for total, _ in ends for part in (total // 2, total - total // 2)]
    padded = nn.functional.pad(x, padding, value=-torch.inf)
    torch.testing.assert_close(SamePool()(x), nn.functional.max_pool2d(padded, 3, 2), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "at_minus_one"),
    [("relu", 0), ("leaky-relu", -0.2), ("elu", -0.63212), ("selu", -1.11133), ("sigmoid", 0.26894), ("tanh", -0.76159)],
)
def test_activations(name, at_minus_one):
    assert float(make_activation(name)(torch.tensor(-1.0))) == pytest.approx(at_minus_one, abs=1e-5)


# -- layers -----------------------------------------------------------------------------------------------------------------

CAPTURED = {
    "alexnet-cifar:width=0.25": {"conv1": 24, "conv2": 64, "fc3": 96, "fc4": 48},
    "mlp1": {"fc1": 32},
    "mlp3:width=2": {"fc1": 64, "fc2": 64, "fc3": 64},
    "resnet56-cifar:width=0.5": {"stem": 8, "stage1": 8, "stage2": 16, "stage3": 32},
    "resnet18-width:width=0.25": {"stem": 16, "stage1": 16, "stage2": 32, "stage3": 64, "stage4": 128},
}


@pytest.mark.parametrize("spec", CAPTURED)
def test_captured_layers_come_after_their_activation(spec):
    net, seen = build(spec).eval(), {}
    for path in CAPTURED[spec]:
        net.get_submodule(path).register_forward_hook(lambda module, given, made, path=path: seen.update({path: made}))
    with torch.no_grad():
        net(torch.randn(2, *CIFAR))
    assert {path: made.shape[1] for path, made in seen.items()} == CAPTURED[spec]
    assert all(float(made.min()) == 0 < float(made.max()) for made in seen.values())


def test_inception_has_sixteen_captured_layers():
    with torch.device("meta"):
        net = build("inception-v3-width:width=0.25", (3, 299, 299))
        channels, sides, x = [], [], torch.zeros(1, 3, 299, 299)
        for name, module in net.named_children():
            x = module(x)
            if name.startswith(("conv", "mixed")):
                channels.append(x.shape[1] * 4)
                sides.append(x.shape[2])
    assert channels == [32, 32, 64, 80, 192, 256, 288, 288, 768, 768, 768, 768, 768, 1280, 2048, 2048]
    assert sides == [149, 147, 147, 73, 71, 35, 35, 35, 17, 17, 17, 17, 17, 8, 8, 8]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 16, 16), (3, 33, 20)])
@pytest.mark.parametrize("name", ["alexnet-cifar", "resnet56-cifar", "resnet18-width"])
def test_images_of_any_size(name, shape):
    assert build(f"{name}:width=0.1", shape, 7).eval()(torch.randn(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize("activation", ["leaky-relu", "elu", "selu", "sigmoid", "tanh"])
@pytest.mark.parametrize("name", ["alexnet-cifar", "mlp3", "resnet56-cifar", "inception-v3-width"])
def test_an_activation_takes_every_relus_place(name, activation):
    net = build(f"{name}:width=0.25,activation={activation}", (3, 96, 96))
    plain = build(f"{name}:width=0.25", (3, 96, 96))
    kind = type(make_activation(activation))
    assert not any(isinstance(module, nn.ReLU) for module in net.modules())
    found = [sum(isinstance(module, which) for module in each.modules()) for each, which in ((net, kind), (plain, nn.ReLU))]
    assert found[0] == found[1] > 0


def test_linear_mlp():
    net = build("mlp1:activation=linear", (10,), 2)
    x = torch.randn(5, 10)
    torch.testing.assert_close(net(2 * x), 2 * net(x))


@pytest.mark.parametrize("spec", ["alexnet-cifar", "resnet56-cifar", "resnet18-width", "inception-v3-width"])
def test_vectors_are_refused_by_networks_for_images(spec):
    with pytest.raises(UsageError, match=r"needs images .* shape \(64,\): choose larger images, or mlp1"):
        build(spec, (64,))


def test_inception_refuses_small_images():
    with pytest.raises(UsageError, match="at least 75x75"):
        build("inception-v3-width", (3, 74, 100))


@pytest.mark.parametrize("option", ["width=0", "width=-1", "width=101", "activation=swish", "init=xavier", "dropout=1"])
def test_bad_options(option):
    with pytest.raises(UsageError):
        build(f"alexnet-cifar:{option}")
