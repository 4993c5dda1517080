"""Parity networks, the squared hinge, and label smoothing, as recorded."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from widenet.errors import UsageError
from widenet.options import build as build_options
from widenet.options import resolve, split_spec
from widenet_redundant_repr.models import MODELS
from widenet_redundant_repr.pmnist import squared_hinge

GOLDEN = Path(__file__).parents[2] / "golden" / "redundant_repr"
MODEL = next(model for model in MODELS if model.name == "pmnist-fc")


def build(spec="pmnist-fc", shape=(10,), classes=2):
    """The network that ``--arch`` makes."""
    _, values = split_spec(spec)
    return MODEL.function(shape, classes, build_options(MODEL.config, resolve(MODEL.config, values, spec), spec))


def arrays(name):
    with np.load(GOLDEN / name) as file:
        return {key: torch.from_numpy(np.asarray(file[key])) for key in file}


@pytest.mark.parametrize(
    ("width", "normed", "plain"),
    [
        (16, 1_441, 1_281),
        (64, 18_049, 17_409),
        (128, 68_865, 67_585),
        (256, 268_801, 266_241),
        (512, 1_061_889, 1_056_769),
        (1024, 4_220_929, 4_210_689),
    ],
)
def test_sizes_as_published(width, normed, plain):
    with torch.device("meta"):
        nets = [build(f"pmnist-fc:width={width},batch_norm={norm}") for norm in ("true", "false")]
    assert [sum(parameter.numel() for parameter in net.parameters()) for net in nets] == [normed, plain]


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_values_as_recorded(mode):
    golden = arrays("model_fc6_w16_bn.npz")
    net, seen = build("pmnist-fc:width=16"), {}
    net.load_state_dict({key.removeprefix("param/"): value for key, value in golden.items() if key.startswith("param/")})
    net.linear_body.register_forward_hook(lambda module, given, made: seen.update(features=made))
    logits = net.train(mode == "train")(golden["input"])
    assert not logits[:, 0].any()
    torch.testing.assert_close(logits[:, 1:], golden[f"logits_{mode}"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(seen["features"], golden[f"features_{mode}"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.05, 0.1, 0.3])
def test_label_smoothing_as_recorded(smoothing):
    golden = arrays("label_smoothing.npz")
    loss = F.cross_entropy(golden["logits"].double(), golden["targets"], label_smoothing=smoothing)
    assert loss.item() == pytest.approx(golden[f"loss_smoothing_{smoothing}"].item(), rel=1e-6)


def test_squared_hinge_by_hand():
    logits = torch.tensor([[0.0, 2.0], [0.0, 0.5], [1.0, 0.0], [3.0, 4.0]])
    losses = [0.0, 0.25, 0.0, 4.0]  # f = 2, 0.5, -1, 1 of labels 1, 1, 0, 0
    assert squared_hinge(logits, torch.tensor([1, 1, 0, 0])).item() == sum(losses) / 4 / 2


@given(count=st.integers(1, 20), seed=st.integers(0, 99), shift=st.floats(-3, 3))
@settings(max_examples=30)
def test_squared_hinge_knows_the_difference_of_logits_alone(count, seed, shift):
    torch.manual_seed(seed)
    logits, labels = torch.randn(count, 2, dtype=torch.float64), torch.randint(2, (count,))
    loss = squared_hinge(logits, labels)
    torch.testing.assert_close(squared_hinge(logits + shift, labels), loss)
    torch.testing.assert_close(squared_hinge(logits.flip(1), 1 - labels), loss)
    right = (2 * labels - 1) * (logits[:, 1] - logits[:, 0]) >= 1
    assert (loss == 0) == bool(right.all())


def test_first_weights():
    torch.manual_seed(0)
    net = build("pmnist-fc:width=64")
    for module in net.modules():
        if isinstance(module, nn.Linear):
            rows, columns = module.weight.shape
            product = module.weight @ module.weight.T if rows <= columns else module.weight.T @ module.weight
            torch.testing.assert_close(product, torch.eye(min(rows, columns)), atol=1e-5, rtol=0)
            assert not module.bias.any()
        elif isinstance(module, nn.BatchNorm1d):
            assert 0 <= module.weight.min() < 0.2 < 0.8 < module.weight.max() < 1


@pytest.mark.parametrize(
    ("spec", "widths"),
    [
        ("pmnist-fc:width=7", [7] * 5 + [1]),
        ("pmnist-fc:width=7,depth=2", [7, 1]),
        ("pmnist-fc:width=7,depth=4,last_width=30", [7, 7, 30, 1]),
        ("pmnist-fc:width=7,depth=4,bottleneck=2,bottleneck_at=2", [7, 2, 7, 1]),
        ("pmnist-fc:width=7,depth=4,bottleneck=2,bottleneck_at=3", [7, 7, 2, 1]),
        ("pmnist-fc:width=7,depth=4,bottleneck=2,bottleneck_at=1,last_width=9", [2, 7, 9, 1]),
    ],
)
def test_widths(spec, widths):
    assert [module.out_features for module in build(spec).modules() if isinstance(module, nn.Linear)] == widths


@pytest.mark.parametrize(("shape", "classes"), [((10,), 2), ((1, 16, 16), 10), ((3,), 3)])
def test_any_input_and_classes_are_taken(shape, classes):
    net = build("pmnist-fc:width=8,dropout=0.2", shape, classes)
    assert net(torch.rand(4, *shape)).shape == (4, classes)
    assert net.linear_out.out_features == (1 if classes == 2 else classes)


def test_hidden_layers_end_in_a_relu():
    net = build("pmnist-fc:width=32,batch_norm=false")
    assert net.linear_body(torch.randn(9, 10)).min() == 0
    assert not any(isinstance(module, nn.BatchNorm1d) for module in net.modules())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("depth=1", "'depth' must be >= 2"),
        ("bottleneck=3", "bottleneck and bottleneck_at go together"),
        ("bottleneck_at=3", "bottleneck and bottleneck_at go together"),
        ("bottleneck=3,bottleneck_at=6", "bottleneck_at 6 is none of the hidden layers 1 to 5"),
        ("bottleneck=3,bottleneck_at=5,last_width=9", "bottleneck_at 5 is none of the hidden layers 1 to 4"),
        ("bottleneck=3,bottleneck_at=0", "'bottleneck_at' must be >= 1"),
    ],
)
def test_options_are_validated(options, message):
    with pytest.raises(UsageError, match=message):
        build(f"pmnist-fc:{options}")
