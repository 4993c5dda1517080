"""DenseNets: sizes as published, the order of their parts, first weights, options."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from widenet.errors import UsageError
from widenet.options import build as build_options
from widenet.options import resolve, split_spec
from widenet_redundant_repr.models import MODELS

BY_NAME = {model.name: model for model in MODELS}
CIFAR = (3, 32, 32)


def build(spec, shape=CIFAR, classes=10):
    """The network that ``--arch`` makes."""
    name, values = split_spec(spec)
    config = BY_NAME[name].config
    return BY_NAME[name].function(shape, classes, build_options(config, resolve(config, values, name), name))


def size(spec, classes=10):
    """Width of the representation, and parameters."""
    with torch.device("meta"):
        net = build(spec, classes=classes)
    return net.classifier.in_features, sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("n", "width", "ten", "hundred"),
    [
        (8, 44, 21_162, 25_212),
        (16, 88, 79_882, 87_892),
        (32, 176, 310_026, 325_956),
        (64, 352, 1_221_130, 1_252_900),
        (128, 704, 4_846_602, 4_910_052),
        (256, 1408, 19_310_602, 19_437_412),
    ],
)
def test_sizes_of_densenet40(n, width, ten, hundred):
    assert size(f"densenet40:n={n}") == (width, ten)
    assert size(f"densenet40:n={n}", 100) == (width, hundred)


@pytest.mark.parametrize(
    ("n", "width", "parameters"),
    [
        (8, 30, 12_426),
        (16, 60, 46_682),
        (32, 120, 180_714),
        (64, 240, 710_858),
        (128, 480, 2_819_466),
        (256, 960, 11_229_962),
    ],
)
def test_sizes_of_densenet28(n, width, parameters):
    assert size(f"densenet28:n={n}") == (width, parameters)


@pytest.mark.parametrize(("n", "parameters"), [(16, 266_122), (256, 66_527_242)])
def test_sizes_with_large_kernels(n, parameters):
    assert size(f"densenet40:n={n},kernel=7")[1] == parameters


def test_width_of_densenet100():
    assert size("densenet100:n=8")[0] == 114
    assert size("densenet100:n=16")[0] == 228


@pytest.mark.parametrize(("n", "millions"), [(8, 8.2), (16, 32.3), (32, 128.4), (64, 511.6), (128, 2043), (256, 8165)])
def test_multiply_adds_as_published(n, millions):
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        build(f"densenet40:n={n}").eval()(torch.zeros(1, *CIFAR))
    assert counter.get_total_flops() / 2e6 == pytest.approx(millions, rel=5e-4 if millions > 99 else 7e-3)


def test_a_layer_appends_to_what_it_is_given():
    net = build("densenet28:n=8")
    layer = net.features.denseblock1.denselayer2
    x = torch.randn(2, 12, 5, 5)
    made = layer(x)
    assert made.shape == (2, 16, 5, 5)
    assert torch.equal(made[:, :12], x)
    order = ["BatchNorm2d", "ReLU", "Conv2d", "BatchNorm2d", "ReLU", "Conv2d"]
    assert [type(part).__name__ for part in layer] == order
    assert [type(part).__name__ for part in net.features.transition1] == ["BatchNorm2d", "ReLU", "Conv2d", "AvgPool2d"]


def test_parts_are_called_as_torchvisions():
    """Those of a DenseNet of torchvision with as many blocks, layers and channels."""
    from torchvision.models.densenet import DenseNet

    wanted = DenseNet(growth_rate=4, block_config=(6, 6, 6), num_init_features=8)
    names = {name for name, _ in build("densenet40:n=8").named_parameters()}
    assert {name for name, _ in wanted.named_parameters()} == names


@pytest.mark.parametrize("relu", [False, True])
def test_the_representation_is_the_mean_of_the_last_norm(relu):
    net, seen = build(f"densenet28:n=8,relu={relu}").eval(), {}
    net.features.norm5.register_forward_hook(lambda module, given, made: seen.update(normed=made))
    net.avgpool.register_forward_hook(lambda module, given, made: seen.update(features=made))
    logits = net(torch.randn(3, *CIFAR))
    mean = (seen["normed"].relu() if relu else seen["normed"]).mean((2, 3))
    assert seen["features"].shape == (3, 30, 1, 1)
    torch.testing.assert_close(seen["features"].flatten(1), mean)
    torch.testing.assert_close(logits, net.classifier(mean))
    assert (mean.min() >= 0) == relu


def test_first_weights():
    torch.manual_seed(0)
    net = build("densenet28:n=32")
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            std = (2 / module.weight[0].numel()) ** 0.5
            assert module.weight.std().item() == pytest.approx(std, rel=5 / module.weight.numel() ** 0.5)
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert not module.bias.any()
    assert not net.classifier.bias.any()
    assert net.classifier.weight.abs().max() <= 120**-0.5


def test_last_width_changes_the_last_layer_alone():
    plain, widened = (dict(build(spec).named_parameters()) for spec in ("densenet28:n=8", "densenet28:n=8,last_width=64"))
    changed = {name.rpartition(".")[0] for name in widened if plain[name].shape != widened[name].shape}
    layer = "features.denseblock3.denselayer4"
    assert changed == {f"{layer}.conv1", f"{layer}.norm2", f"{layer}.conv2", "features.norm5", "classifier"}
    assert widened["classifier.weight"].shape == (10, 64)


def test_a_widened_representation_has_full_rank():
    torch.manual_seed(0)
    net = build("densenet28:n=8,last_width=64", (3, 8, 8)).eval()
    with torch.no_grad():
        features = net[:-1](torch.randn(300, 3, 8, 8)).double()
    assert torch.linalg.matrix_rank(features - features.mean(0)) == 64


def test_dropout_acts_in_training_alone():
    layer = build("densenet28:n=8,dropout=0.5").features.denseblock1.denselayer1
    x = torch.randn(2, 8, 6, 6)
    assert 0.3 < (layer(x)[:, 8:] == 0).float().mean() < 0.7
    layer.eval()
    assert torch.equal(layer(x), layer(x))


@given(
    stem=st.sampled_from(["cifar", "imagenet"]),
    channels=st.integers(1, 4),
    height=st.integers(0, 9),
    width=st.integers(0, 9),
    n=st.integers(2, 7),
)
@settings(max_examples=20)
def test_any_image_that_fits_is_taken(stem, channels, height, width, n):
    smallest = {"cifar": 4, "imagenet": 13}[stem]
    shape = (channels, smallest + height, smallest + width)
    net = build(f"densenet28:n={n},stem={stem}", shape, 3).eval()
    assert net(torch.rand(2, *shape)).shape == (2, 3)


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        ("densenet40", (3, 32, 3), r"densenet40 needs images .* at least 4x4, .* shape \(3, 32, 3\)"),
        ("densenet28:stem=imagenet", (3, 12, 32), "densenet28 needs images .* at least 13x13"),
        ("densenet40", (784,), "choose larger images, or pmnist-fc, which takes any shape"),
        ("densenet40:n=8,last_width=40", CIFAR, "last_width 40 leaves the last layer nothing to add: give at least 41"),
        ("densenet40:n=1", CIFAR, "'n' must be >= 2"),
        ("densenet40:kernel=2", CIFAR, "kernel must be odd"),
    ],
)
def test_what_does_not_fit_is_refused(spec, shape, message):
    with pytest.raises(UsageError, match=message):
        build(spec, shape)


def test_the_least_last_width_that_is_named_is_taken():
    assert size("densenet40:n=8,last_width=41")[0] == 41
