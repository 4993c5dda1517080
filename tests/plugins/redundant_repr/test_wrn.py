"""Wide ResNets: sizes as published, values as recorded, first weights, options."""

from pathlib import Path

import numpy as np
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

GOLDEN = Path(__file__).parents[2] / "golden" / "redundant_repr"
BY_NAME = {model.name: model for model in MODELS}
CIFAR = (3, 32, 32)
SMALL = "wrn16:k=2,stem=4"


def build(spec, shape=CIFAR, classes=10):
    """The network that ``--arch`` makes."""
    name, values = split_spec(spec)
    config = BY_NAME[name].config
    return BY_NAME[name].function(shape, classes, build_options(config, resolve(config, values, name), name))


def count(spec, classes=10):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(spec, classes=classes).parameters())


@pytest.mark.parametrize(
    ("spec", "ten", "hundred", "body", "shallow"),
    [
        ("k=1,stem=4", 23_646, None, 23_476, 11_326),
        ("k=1,stem=8", 93_106, None, 92_776, 44_274),
        ("k=1", 369_498, None, 368_848, 175_066),
        ("k=2", 1_467_610, 1_479_220, 1_466_320, 691_674),
        ("k=4", 5_849_050, 5_872_180, 5_846_480, 2_748_890),
        ("k=8", 23_354_842, 23_401_012, 23_349_712, 10_961_370),
        ("k=10", 36_479_194, 36_536_884, 36_472_784, 17_116_634),
    ],
)
def test_sizes_as_published(spec, ten, hundred, body, shallow):
    assert count(f"wrn28:{spec}") == ten
    assert count(f"wrn16:{spec}") == shallow
    with torch.device("meta"):
        assert ten - sum(parameter.numel() for parameter in build(f"wrn28:{spec}").fc.parameters()) == body
    if hundred is not None:
        assert count(f"wrn28:{spec}", classes=100) == hundred


@pytest.mark.parametrize(("options", "size"), [("block=pyramid", 23_362_010), ("se=true", 23_698_906)])
def test_sizes_of_other_blocks(options, size):
    assert count(f"wrn28:k=8,{options}") == size


@pytest.mark.parametrize(
    ("options", "millions"),
    [("stem=4", 3.52), ("stem=8", 13.85), ("k=1", 54.97), ("k=2", 214.4), ("k=4", 845.6), ("k=8", 3360), ("k=10", 5243)],
)
def test_multiply_adds_as_published(options, millions):
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        build(f"wrn28:{options}").eval()(torch.zeros(1, *CIFAR))
    assert counter.get_total_flops() / 2e6 == pytest.approx(millions, rel=5e-4 if millions > 50 else 2e-3)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "model_wrn16_inpl4_k2.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file}


def recorded(golden):
    """The network with the recorded parameters, and its representation of the last input."""
    net, seen = build(SMALL), {}
    net.load_state_dict({key.removeprefix("param/"): value for key, value in golden.items() if key.startswith("param/")})
    net.avgpool.register_forward_hook(lambda module, given, made: seen.update(features=made))
    return net, seen


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_as_recorded(golden, mode, layout):
    net, seen = recorded(golden)
    net = net.train(mode == "train").to(memory_format=layout)
    logits = net(golden["input"].to(memory_format=layout))
    torch.testing.assert_close(logits, golden[f"logits_{mode}"], rtol=1e-4, atol=1e-5)
    assert seen["features"].shape == (4, 32, 1, 1)
    torch.testing.assert_close(seen["features"].flatten(1), golden[f"features_{mode}"], rtol=1e-4, atol=1e-5)


def test_representations_have_both_signs_unless_a_relu_is_asked_for():
    x, least = torch.randn(4, *CIFAR), {}
    for relu in ("false", "true"):
        net = build(f"{SMALL},relu={relu}")
        net.avgpool.register_forward_hook(lambda module, given, made, relu=relu: least.update({relu: given[0].min().item()}))
        net(x)
    assert least["false"] < 0 == least["true"]


def test_first_weights():
    torch.manual_seed(0)
    net = build("wrn28:k=2")
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert 0 <= module.weight.min() < 0.3
            assert 0.7 < module.weight.max() < 1
            assert not module.bias.any()
        elif isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            assert module.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=5 / module.weight.numel() ** 0.5)
    assert not net.fc.bias.any()


def test_a_pyramid_block_has_no_first_relu_and_a_last_norm():
    basic, pyramid = (build(f"{SMALL},block={block}").group1[0].eval() for block in ("basic", "pyramid"))
    torch.nn.init.zeros_(basic.bn1.bias)
    negative = torch.full((1, 8, 4, 4), -5.0)
    assert not (basic(negative) - basic.downsample(negative[:, :, ::2, ::2])).any()
    assert (pyramid(negative) - pyramid.downsample(negative[:, :, ::2, ::2])).any()
    assert isinstance(pyramid.bn3, nn.BatchNorm2d)


def test_squeeze_and_excite_halves_channels_at_zero_weights():
    block = build(f"{SMALL},se=true").group0[1].eval()
    x = torch.randn(2, 8, 4, 4)
    nn.init.zeros_(block.se.excite.weight)
    halved = block(x) - x
    block.se = nn.Identity()
    torch.testing.assert_close(halved, (block(x) - x) / 2)


def test_dropout_drops_whole_channels_in_training_alone():
    block = build(f"{SMALL},dropout=0.5").group0[0]
    dropped = block.dropout(torch.ones(64, 8, 3, 3))
    assert ((dropped == 0).all((2, 3)) | (dropped == 2).all((2, 3))).all()
    assert not torch.equal(dropped, torch.ones(64, 8, 3, 3))
    assert torch.equal(block.eval().dropout(dropped), dropped)


def test_last_width_changes_the_last_block_alone():
    plain, widened = (dict(build(spec).named_parameters()) for spec in (SMALL, f"{SMALL},last_width=48"))
    changed = {name.rpartition(".")[0] for name in widened if name not in plain or plain[name].shape != widened[name].shape}
    block = {f"group2.1.{part}" for part in ("conv1", "bn2", "conv2", "downsample.0")}
    assert changed == {*block, "bn", "fc"}
    assert widened["fc.weight"].shape == (10, 48)


def test_a_widened_representation_has_full_rank():
    torch.manual_seed(0)
    net = build("wrn16:stem=2,last_width=48", (3, 8, 8)).eval()
    with torch.no_grad():
        features = net[:-1](torch.randn(200, 3, 8, 8)).double()
    assert torch.linalg.matrix_rank(features - features.mean(0)) == 48


@given(
    options=st.sampled_from(["k=1", "k=2,block=pyramid", "k=1,se=true,relu=true", "k=1,kernel=7,dropout=0.1", "last_width=9"]),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 17), st.integers(1, 17)),
    classes=st.integers(2, 7),
)
@settings(max_examples=25)
def test_any_image_is_taken(options, shape, classes):
    net = build(f"wrn16:stem=2,{options}", shape, classes)
    logits = (
        net(torch.rand(2, *shape).to(memory_format=torch.channels_last))
        if min(shape[1:]) > 8
        else net.eval()(torch.rand(2, *shape))
    )
    assert logits.shape == (2, classes)
    logits.sum().backward()


@pytest.mark.parametrize(
    ("spec", "classes", "fix"),
    [
        ("wrn28:k=1", 64, "k=2 or more"),
        ("wrn28:k=1", 300, "k=5 or more"),
        ("wrn16:stem=2", 8, "k=2 or more"),
        ("wrn16:k=4,last_width=10", 10, "a last_width above 10"),
    ],
)
def test_more_features_than_classes_are_needed(spec, classes, fix):
    with pytest.raises(UsageError, match=f"for {classes} classes and needs more: give {fix}"):
        build(spec, classes=classes)


def test_one_feature_more_than_classes_is_enough():
    assert build("wrn28:k=1", classes=63)(torch.rand(2, *CIFAR)).shape == (2, 63)


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        ("wrn28", (64,), r"wrn28 needs images .* at least 1x1, .* shape \(64,\): choose"),
        ("wrn28:kernel=4", CIFAR, "kernel must be odd, as 3 or 7, .* not 4"),
        ("wrn28:kernel=-1", CIFAR, "kernel must be odd"),
        ("wrn28:k=0", CIFAR, "'k' must be >= 1"),
        ("wrn28:dropout=1", CIFAR, "'dropout' must be < 1"),
        ("wrn28:block=thin", CIFAR, "'thin' is none of basic, pyramid"),
        ("wrn28:last_width=0", CIFAR, "'last_width' must be >= 1"),
    ],
)
def test_what_does_not_fit_is_refused(spec, shape, message):
    with pytest.raises(UsageError, match=message):
        build(spec, shape)


def test_digits_train_on_a_wide_resnet():
    """On 16 x 16 pixels, and with so few channels that strided 1x1 convolutions would crash on a CPU."""
    net = build("wrn28:k=1", (1, 16, 16))
    net = net.to(memory_format=torch.channels_last)
    net(torch.rand(4, 1, 16, 16).to(memory_format=torch.channels_last)).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in net.parameters())
