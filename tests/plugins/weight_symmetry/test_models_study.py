"""The study's networks: sizes, names, first weights, and what they refuse."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from widenet.errors import UsageError
from widenet.masks import layers
from widenet.options import build as build_options
from widenet.options import resolve, split_spec
from widenet_weight_symmetry.models import MODELS
from widenet_weight_symmetry.widths import parameters, solve

BY_NAME = {model.name: model for model in MODELS}
MNIST, CIFAR = (1, 28, 28), (3, 32, 32)
SIZES = [("mnist-fc", MNIST, 26_634, 26_432), ("mnist-cnn", MNIST, 16_254, 15_888), ("cifar10-cnn", CIFAR, 289_214, 287_840)]


def build(spec, shape=MNIST, classes=10):
    """The network that ``--arch`` makes."""
    name, values = split_spec(spec)
    config = BY_NAME[name].config
    made = build_options(config, resolve(config, values, name), name)
    return BY_NAME[name].function(shape, classes, made)


def count(net):
    return sum(parameter.numel() for parameter in net.parameters())


def weights(net):
    return {name: layer.weight for name, layer in layers(net)}


@pytest.mark.parametrize(("name", "shape", "total", "kernels"), SIZES)
def test_sizes_as_stated(name, shape, total, kernels):
    net = build(name, shape)
    assert count(net) == total
    assert sum(weight.numel() for weight in weights(net).values()) == kernels


def test_sizes_are_those_on_the_meta_device():
    with torch.device("meta"):
        assert [count(build(name, shape)) for name, shape, *_ in SIZES] == [total for *_, total, _ in SIZES]


@pytest.mark.parametrize(
    ("spec", "shape", "names"),
    [
        ("mnist-fc", MNIST, ["fc1", "fc2", "head"]),
        ("mnist-fc:hidden=7", (5,), ["fc1", "head"]),
        ("mnist-cnn", MNIST, ["conv1", "conv2", "dense", "head"]),
        ("cifar10-cnn", CIFAR, [*(f"conv{n}" for n in range(1, 7)), "head"]),
    ],
)
def test_layers_are_listed_in_forward_order(spec, shape, names):
    net, called = build(spec, shape), []
    for name, layer in layers(net):
        layer.register_forward_hook(lambda *_, name=name: called.append(name))
    assert net(torch.rand(2, *shape)).shape == (2, 10)
    assert called == names == list(weights(net))


def order(net):
    return [type(module).__name__ for module in net]


def test_parts_in_order():
    block = ["Linear", "BatchNorm1d", "ReLU"]
    assert order(build("mnist-fc")) == ["Flatten", *block, *block, "Linear"]
    assert order(build("mnist-fc:dropout=0.2,hidden=9")) == ["Flatten", *block, "Dropout", "Linear"]
    block, end = ["Conv2d", "BatchNorm2d", "ReLU"], ["Flatten", "Linear", "BatchNorm1d"]
    assert order(build("mnist-cnn")) == [*block, "MaxPool2d", *block, "AdaptiveAvgPool2d", *block, *end]
    pair = [*block, *block, "MaxPool2d"]
    assert order(build("cifar10-cnn", CIFAR)) == [*pair, *pair, *pair, "AdaptiveAvgPool2d", *end]


@pytest.mark.parametrize(
    "spec", ["mnist-cnn:filters=4,kernel=3", "cifar10-cnn:filters=4,6,8", "mnist-cnn:filters=2,3,4,dense=5"]
)
def test_images_keep_their_size_up_to_pooling(spec):
    net, sizes = build(spec, CIFAR), []
    for name, layer in layers(net):
        if name.startswith("conv"):
            layer.register_forward_hook(lambda _, x, y: sizes.append((x[0].shape[-1], y.shape[-1])))
    net(torch.rand(2, *CIFAR))
    pooled_after_each = spec.startswith("mnist")
    wanted = [32 >> (n if pooled_after_each else n // 2) for n in range(len(sizes))]
    assert sizes == [(side, side) for side in wanted]


@pytest.mark.parametrize(("name", "shape", "total", "kernels"), SIZES)
def test_first_weights(name, shape, total, kernels):
    torch.manual_seed(1)
    net = build(name, shape)
    for path, weight in weights(net).items():
        fan_in = weight[0].numel()
        std = (2 / (fan_in + 10)) ** 0.5 if path == "head" else (2 / fan_in) ** 0.5
        assert weight.std().item() == pytest.approx(std, rel=5 / weight.numel() ** 0.5), path
        assert 1.9 * std < weight.abs().max() <= 2.2738 * std
        assert not net.get_submodule(path).bias.any()


def test_first_weights_come_from_the_global_stream():
    def drawn(seed):
        torch.manual_seed(seed)
        return build("mnist-fc").state_dict()

    assert all(torch.equal(value, drawn(3)[key]) for key, value in drawn(3).items())
    assert not torch.equal(drawn(3)["fc1.weight"], drawn(4)["fc1.weight"])


def test_logits_of_the_convolutional_ones_are_normalised():
    for name in ("mnist-cnn:filters=4,5", "cifar10-cnn:filters=4,5"):
        logits = build(name)(torch.rand(9, *MNIST))
        torch.testing.assert_close(logits.mean(0), torch.zeros(10), atol=1e-5, rtol=0)
        assert logits.std(0, correction=0).max() <= 1.0001
    assert build("mnist-fc")(torch.rand(9, *MNIST)).mean(0).abs().max() > 0.01


def test_dropout_acts_in_training_alone():
    net, x = build("mnist-fc:dropout=0.5"), torch.rand(6, *MNIST)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


@given(params=st.integers(2_000, 300_000), depth=st.integers(1, 4), growth=st.sampled_from([1, 1.5, 2]))
@settings(max_examples=20)
def test_a_budget_of_parameters_sets_the_widths(params, depth, growth):
    with torch.device("meta"):
        net = build(f"mnist-fc:params={params},depth={depth},growth={growth}")
    widths = [weight.shape[0] for weight in weights(net).values()][:-1]
    assert tuple(widths) == solve(784, params, depth, growth, 10)
    assert count(net) == parameters(widths, 784, 10)
    assert abs(count(net) - params) <= (784 + 13) / 2


@given(
    spec=st.sampled_from(["mnist-fc:hidden=3,4", "mnist-cnn:filters=2,3,dense=4,kernel=3", "cifar10-cnn:filters=2,2,3"]),
    shape=st.tuples(st.integers(1, 3), st.integers(2, 9), st.integers(2, 9)),
    images=st.integers(1, 3),
    classes=st.integers(1, 5),
)
@settings(max_examples=40)
def test_any_image_that_fits_is_taken(spec, shape, images, classes):
    net = build(spec, shape, classes).eval()
    assert net(torch.rand(images, *shape)).shape == (images, classes)


@pytest.mark.parametrize("shape", [(7,), (5, 6), (1, 1, 1), (2, 3, 4, 5)])
def test_mnist_fc_takes_any_shape(shape):
    assert build("mnist-fc", shape, 3)(torch.rand(2, *shape)).shape == (2, 3)


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        ("mnist-cnn:filters=2,2,2,2", (1, 9, 7), "mnist-cnn with these filters needs images of at least 8x8, .* has 9x7: "),
        ("cifar10-cnn", (3, 32, 7), "cifar10-cnn with these filters needs images of at least 8x8, this data set has 32x7: "),
        ("mnist-cnn", (784,), r"mnist-cnn needs images .* shape \(784,\): choose mnist-fc, which takes any shape"),
        ("cifar10-cnn", (3, 4, 8, 8), r"cifar10-cnn needs images .* \(3, 4, 8, 8\)"),
        ("mnist-fc:params=864,depth=3", MNIST, "mnist-fc: 864 parameters are too few for 3 hidden .* at least 865"),
        ("mnist-fc:params=9,depth=1,growth=1e308", MNIST, "mnist-fc: 9 parameters are too few"),
        ("mnist-fc:params=9,depth=4,growth=1e308", MNIST, "mnist-fc: widths that grow by 1e.308 over 4 layers"),
    ],
)
def test_what_does_not_fit_is_refused(spec, shape, message):
    with pytest.raises(UsageError, match=message):
        build(spec, shape)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mnist-fc:params=1000", "params and depth go together"),
        ("mnist-fc:depth=3", "params and depth go together"),
        ("mnist-fc:params=1000,depth=0", "'depth' must be >= 1"),
        ("mnist-fc:params=0,depth=1", "'params' must be >= 1"),
        ("mnist-fc:params=100000,depth=3,hidden=8,8", "params and depth set the widths, and so does hidden"),
        ("mnist-fc:growth=3", "growth means nothing without params"),
        ("mnist-fc:params=100000,depth=3,growth=0", "'growth' must be > 0"),
        ("mnist-fc:hidden=", "'hidden' must be >= 1"),
        ("mnist-fc:hidden=3,0", "must be >= 1"),
        ("mnist-fc:dropout=1", "'dropout' must be < 1"),
        ("mnist-cnn:kernel=4", "kernel must be odd, as 3 or 5, .* not 4"),
        ("mnist-cnn:kernel=-1", "kernel must be odd"),
        ("mnist-cnn:dense=0", "'dense' must be >= 1"),
        ("cifar10-cnn:filters=", "'filters' must be >= 1"),
    ],
)
def test_options_are_validated(spec, message):
    with pytest.raises(UsageError, match=message):
        build(spec)


def test_every_model_describes_itself():
    assert all(model.summary.endswith(".") for model in MODELS)
    assert all(isinstance(build(name), nn.Module) for name in BY_NAME)


def test_declaring_models_imports_no_torch():
    code = "import sys; import widenet_weight_symmetry.models; print(*({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
