"""Core's networks: sizes, names, the shapes they take and the shapes they refuse."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from widenet.builtin.models import models
from widenet.builtin.models.cifar_resnet import Subsample
from widenet.errors import UsageError

MODELS = {model.name: model for model in models()}
RGB = (3, 32, 32)
SMALLEST = {"conv2": 2, "conv4": 4, "conv6": 8, "conv8": 16, "resnet20": 1}
DEEP = sorted(set(MODELS) - set(SMALLEST) - {"fc"})


def build(name, shape=RGB, classes=10, **options):
    model = MODELS[name]
    return model.function(shape, classes, model.config(**options))


def on_meta(name, *args, **options):
    with torch.device("meta"):
        return build(name, *args, **options)


def count(net):
    return sum(parameter.numel() for parameter in net.parameters())


def names(net):
    return [name for name, _ in net.named_parameters()]


@pytest.mark.parametrize(
    ("name", "weights"), [("conv2", 4_300_992), ("conv4", 2_425_024), ("conv6", 2_261_184), ("conv8", 5_275_840)]
)
def test_conv_sizes(name, weights):
    assert count(on_meta(name)) == weights


@pytest.mark.parametrize(
    ("width", "conv4", "conv6"),
    [
        (0.1, 22_505, 21_630),
        (0.125, 38_360, 35_800),
        (0.25, 152_368, 142_128),
        (0.5, 607_328, 566_368),
        (0.75, 1_364_880, 1_272_720),
        (1, 2_425_024, 2_261_184),
        (1.25, 3_787_760, 3_531_760),
        (1.5, 5_453_088, 5_084_448),
        (2, 9_691_520, 9_036_160),
        (3, 21_799_488, 20_324_928),
        (4, 38_748_928, 36_127_488),
    ],
)
def test_conv_widths(width, conv4, conv6):
    assert (count(on_meta("conv4", width=width)), count(on_meta("conv6", width=width))) == (conv4, conv6)


def test_width_leaves_at_least_one_channel():
    shapes = [tuple(p.shape) for p in on_meta("conv2", width=0.001).parameters()]
    assert shapes == [(1, 3, 3, 3), (1, 1, 3, 3), (1, 256), (1, 1), (10, 1)]
    assert build("resnet20", width=0.001)(torch.rand(2, *RGB)).shape == (2, 10)


def test_width_of_thin_resnets():
    net = build("resnet20", width=0.3)
    assert [net.get_submodule(f"layer{n}.0.conv1").out_channels for n in (1, 2, 3)] == [4, 9, 19]
    assert net(torch.rand(2, *RGB)).shape == (2, 10)


def test_fc_sizes():
    assert count(on_meta("fc", (1, 28, 28))) == 266_200
    assert count(on_meta("fc", (1, 28, 28), bias=True)) == 266_200 + 300 + 100 + 10
    assert names(on_meta("fc", (5,), hidden=())) == ["linear.0.weight"]


@pytest.mark.parametrize(
    ("name", "shape", "classes", "weights", "learned"),
    [
        ("cresnet18", RGB, 10, 11_164_352, 11_173_952),
        ("cresnet50", RGB, 10, 23_467_712, 23_520_832),
        ("cresnet101", RGB, 10, 42_407_616, 42_512_960),
        ("resnet18", (3, 224, 224), 1000, 11_678_912, 11_688_512),
        ("resnet50", (3, 224, 224), 1000, 25_502_912, 25_556_032),
        ("resnet101", (3, 224, 224), 1000, 44_442_816, 44_548_160),
        ("wide_resnet50_2", (3, 224, 224), 1000, 68_814_016, 68_882_240),
        ("wide_resnet101_2", (3, 224, 224), 1000, 126_747_840, 126_885_696),
    ],
)
def test_resnet_sizes(name, shape, classes, weights, learned):
    assert count(on_meta(name, shape, classes, bias=False, affine=False)) == weights
    assert count(on_meta(name, shape, classes, bias=False)) == learned
    assert count(on_meta(name, shape, classes)) == learned + classes


def test_thin_resnet_sizes():
    assert count(on_meta("resnet20")) == 269_722
    convolutions = {name: sum(isinstance(m, nn.Conv2d) for m in on_meta(name).modules()) for name in MODELS}
    assert [convolutions[f"resnet{n}"] for n in (20, 32, 44, 56)] == [19, 31, 43, 55]


def test_conv_layers():
    conv4, conv8 = on_meta("conv4"), on_meta("conv8", bias=True)
    assert [p.numel() for p in conv4.parameters()] == [1_728, 36_864, 73_728, 147_456, 2_097_152, 65_536, 2_560]
    layers = [*(f"convs.{n}" for n in (0, 2, 5, 7, 10, 12, 15, 17)), "linear.0", "linear.2", "linear.4"]
    assert names(conv8) == [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    kinds = [type(m) for m in conv4.convs]
    assert kinds == [nn.Conv2d, nn.ReLU, nn.Conv2d, nn.ReLU, nn.MaxPool2d] * 2


def test_thin_resnet_names():
    net = on_meta("resnet20")
    blocks = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in (0, 1, 2)]
    convolutions = ["conv1", *(f"{block}.conv{n}" for block in blocks for n in (1, 2))]
    norms = [name.replace("conv", "bn") for name in convolutions]
    pairs = zip(convolutions, norms, strict=True)
    expected = [n for conv, norm in pairs for n in (f"{conv}.weight", f"{norm}.weight", f"{norm}.bias")]
    assert names(net) == [*expected, "linear.weight", "linear.bias"]
    modules = dict(net.named_modules())
    assert all(isinstance(modules[f"{block}.relu{n}"], nn.ReLU) for block in blocks for n in (1, 2))


@pytest.mark.parametrize(("name", "layers"), [("cresnet18", 2), ("cresnet50", 3)])
def test_cresnet_names(name, layers):
    net = on_meta(name, affine=False)
    block = [n for n in names(net) if n.startswith("layer2.0.")]
    assert block == [f"layer2.0.{layer}.weight" for layer in [*(f"conv{n + 1}" for n in range(layers)), "shortcut.0"]]
    assert names(net)[0] == "conv1.weight"
    assert names(net)[-2:] == ["fc.weight", "fc.bias"]
    assert isinstance(net.get_submodule("layer2.0.shortcut.1"), nn.BatchNorm2d)


@pytest.mark.parametrize("name", MODELS)
def test_layers_are_listed_in_forward_order(name):
    net = on_meta(name)
    called = []
    for path, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda *_, path=path: called.append(path))
    net(torch.empty(2, *RGB, device="meta"))
    listed = [path for path, module in net.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert called == listed


@given(name=st.sampled_from(sorted(SMALLEST)), data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_image_that_fits_is_taken(name, data):
    side = st.integers(SMALLEST[name], 20)
    shape = data.draw(st.tuples(st.integers(1, 4), side, side))
    images, classes = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 12))
    net = build(name, shape, classes, width=0.1).eval()
    logits = net(torch.rand(images, *shape))
    assert logits.shape == (images, classes)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("shape", [(7,), (5, 6), (1, 1, 1), (2, 3, 4, 5)])
def test_fc_takes_any_shape(shape):
    assert build("fc", shape, 3)(torch.rand(1, *shape)).shape == (1, 3)


@pytest.mark.parametrize("name", sorted(SMALLEST))
def test_a_batch_of_one_odd_image(name):
    net = build(name, (2, 17, 19), 1, width=0.1).eval()
    assert net(torch.rand(1, 2, 17, 19)).shape == (1, 1)


@pytest.mark.parametrize(
    ("name", "shape"), [*((name, (2, 1, 9)) for name in DEEP), ("cresnet50", (3, 33, 31)), ("resnet50", (3, 33, 31))]
)
def test_resnets_take_any_image(name, shape):
    net = on_meta(name, shape, 7).train()
    assert net(torch.empty(2, *shape, device="meta")).shape == (2, 7)
    assert net.eval()(torch.empty(1, *shape, device="meta")).shape == (1, 7)


@pytest.mark.parametrize("name", ["resnet20", "cresnet18", "resnet18"])
def test_resnets_train_on_the_smallest_image(name):
    net = build(name, (2, 1, 1), 3).train()
    net(torch.rand(2, 2, 1, 1)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("conv8", (3, 8, 8), "conv8 needs images of at least 16x16, this data set has 8x8: choose conv6 (fits 8x8)"),
        ("conv8", (3, 15, 32), "conv8 needs images of at least 16x16, this data set has 15x32: choose conv6"),
        ("conv6", (1, 28, 7), "conv6 needs images of at least 8x8, this data set has 28x7: choose conv4 (fits 28x7)"),
        ("conv4", (1, 3, 3), "conv4 needs images of at least 4x4, this data set has 3x3: choose conv2 (fits 3x3)"),
        ("conv2", (1, 1, 1), "conv2 needs images of at least 2x2, this data set has 1x1: choose fc (takes any shape)"),
    ],
)
def test_small_images_are_refused(name, shape, message):
    with pytest.raises(UsageError) as error:
        build(name, shape)
    assert str(error.value).startswith(message)
    assert str(error.value).endswith("or larger images")


@pytest.mark.parametrize("shape", [(64,), (8, 8), (3, 4, 8, 8)])
@pytest.mark.parametrize("name", sorted(set(MODELS) - {"fc"}))
def test_inputs_that_are_no_images_are_refused(name, shape):
    side = SMALLEST.get(name, 1)
    with pytest.raises(UsageError) as error:
        build(name, shape)
    assert f"{name} needs images (channels, height, width) of at least {side}x{side}" in str(error.value)
    assert "choose fc, which takes any shape" in str(error.value)


@pytest.mark.parametrize("name", ["cresnet18", "resnet18"])
def test_normalisation_without_parameters(name):
    net = build(name, affine=False, bias=False)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(list(m.parameters()) or m.affine for m in norms)
    assert "fc.bias" not in names(net)
    assert net(torch.rand(2, *RGB)).shape == (2, 10)


@pytest.mark.parametrize(("inputs", "outputs"), [(16, 32), (32, 64), (3, 6), (5, 5)])
def test_option_a_shortcut(inputs, outputs):
    shortcut = Subsample(inputs, outputs, 2)
    x = torch.rand(2, inputs, 7, 8)
    before = (outputs - inputs) // 2
    expected = torch.zeros(2, outputs, 4, 4)
    expected[:, before : before + inputs] = x[:, :, ::2, ::2]
    assert not list(shortcut.parameters())
    assert torch.equal(shortcut(x), expected)


def test_option_a_is_used_where_the_size_changes():
    net = on_meta("resnet20")
    changed = [path for path, module in net.named_modules() if isinstance(module, Subsample)]
    assert changed == ["layer2.0.shortcut", "layer3.0.shortcut"]
    assert net.layer2[0].shortcut.before == net.layer2[0].shortcut.after == 8
    assert net.layer3[0].shortcut.before == net.layer3[0].shortcut.after == 16


def test_kaiming_normal_weights():
    torch.manual_seed(0)
    net = build("resnet20")
    weight = net.layer3[1].conv1.weight
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert net.linear.weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.1)


def test_imagenet_stem_for_other_channels():
    net = on_meta("resnet18", (1, 64, 64))
    assert tuple(net.conv1.weight.shape) == (64, 1, 7, 7)
    assert (net.conv1.stride, net.conv1.padding, net.conv1.bias) == ((2, 2), (3, 3), None)


@pytest.mark.parametrize(("name", "options"), [("conv4", {"width": 0.0}), ("fc", {"hidden": (3, 0)})])
def test_options_are_validated(name, options):
    with pytest.raises(ValueError, match="must be"):
        MODELS[name].config(**options)


def test_every_model_describes_itself():
    assert len({model.summary for model in MODELS.values()}) == len(MODELS) == 24
    for name, model in MODELS.items():
        assert model.summary.endswith(".")
        assert model.function.__name__.lstrip("_") == name


def test_declaring_models_imports_no_torch():
    code = (
        "import sys; from widenet.builtin.models import models; list(models());"
        "print(*({'torch', 'torchvision', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
