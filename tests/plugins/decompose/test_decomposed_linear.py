"""The decomposed linear layer: the original's logits, the masked dense layer it stands for, and every form of the product."""

import copy
import io
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import arrays, published
from torch import nn
from torch.nn import functional as F

from widenet_decompose import _forms
from widenet_decompose._gathered_torch import gathered_torch
from widenet_decompose.layer import DecomposedLinear


def random_layer(classes, features, bias=True, dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    return nn.Linear(features, classes, bias, dtype=dtype)


def random_sets(classes, features, k, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(classes, features, generator=generator).argsort(1)[:, :k]


def masked(linear, indices):
    """The weight with zeros outside the sets, made without the code under test."""
    weight = torch.zeros_like(linear.weight)
    for c, units in enumerate(indices.tolist()):
        weight[c, units] = linear.weight.detach()[c, units]
    return weight


@pytest.mark.parametrize("k", [5, 10, 20])
@pytest.mark.parametrize("statistics", ["v2023", "imagenet"])
@pytest.mark.parametrize("grad", [True, False])
def test_logits_of_the_original(k, statistics, grad):
    stored, layers = arrays("resnet20_first256"), arrays("final_layers")
    linear = nn.Linear(64, 10)
    linear.load_state_dict({"weight": layers["resnet20_W"], "bias": layers["resnet20_b"]})
    layer = DecomposedLinear(linear, published(str(k)))
    with torch.set_grad_enabled(grad):
        logits = layer(stored[f"features_{statistics}"])
    torch.testing.assert_close(logits.detach(), stored[f"logits_dec{k}_{statistics}"], rtol=0, atol=2e-4)


@st.composite
def problems(draw):
    """A bool mask (C, F) that keeps something, as it is; whether there is a bias; N."""
    classes, features = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    row = st.lists(st.booleans(), min_size=features, max_size=features)
    mask = draw(st.lists(row, min_size=classes, max_size=classes).filter(lambda rows: any(map(any, rows))))
    return torch.tensor(mask), draw(st.booleans()), draw(st.integers(0, 5))


@given(problems())
def test_is_the_masked_dense_layer_and_so_are_its_gradients(problem):
    mask, bias, n = problem
    linear = random_layer(*mask.shape, bias, torch.float64)
    layer = DecomposedLinear(linear, mask)
    assert torch.equal(layer.mask(), mask)
    x = torch.randn(n, mask.shape[1], dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        linear.weight *= mask
    out, expected = layer(x), linear(x)
    torch.testing.assert_close(out, expected)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected)
    pull = torch.randn_like(out)
    got = torch.autograd.grad(out, [x, *layer.parameters()], pull)
    wanted = torch.autograd.grad(expected, [x, *linear.parameters()], pull)
    torch.testing.assert_close(got[0], wanted[0])
    padding = layer.indices < 0
    spread = torch.zeros_like(linear.weight).scatter_add(1, layer.indices.clamp_min(0), got[1])
    torch.testing.assert_close(spread, wanted[1] * mask)
    assert not got[1][padding].any() and not layer.weight[padding].any()
    if bias:
        torch.testing.assert_close(got[2], wanted[2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("k", [1, 3, 40])
@pytest.mark.parametrize("n", [0, 1, 2, 70])
def test_every_form_of_a_large_layer(dtype, bias, k, n, monkeypatch):
    monkeypatch.setattr(_forms, "LARGE", 0)
    linear, indices = random_layer(30, 80, bias, dtype), random_sets(30, 80, k)
    layer, x = DecomposedLinear(linear, indices), torch.randn(80, n).to(dtype).T
    with torch.no_grad():
        out = layer(x)
    assert out.dtype == dtype and out.shape == (n, 30)
    torch.testing.assert_close(out, F.linear(x, masked(linear, indices), linear.bias).detach())


def test_ragged_sets_in_every_form(monkeypatch):
    monkeypatch.setattr(_forms, "LARGE", 0)
    mask = torch.rand(25, 200, generator=torch.Generator().manual_seed(0)) < 0.02
    mask[3] = False
    layer = DecomposedLinear(random_layer(25, 200), mask)
    for n, grad in itertools.product((1, 9), (True, False)):
        x = torch.randn(n, 200)
        with torch.set_grad_enabled(grad):
            torch.testing.assert_close(layer(x), layer.to_linear()(x))
    assert torch.equal(layer(x)[:, 3], layer.bias[3].expand(9))


@pytest.mark.parametrize("products", [1, 40, 1 << 15])
def test_gathering_some_units_at_a_time(products, monkeypatch):
    monkeypatch.setattr("widenet_decompose._gathered_torch.PRODUCTS", products)
    linear, indices = random_layer(7, 11), random_sets(7, 11, 5)
    x, weights = torch.randn(4, 11), linear.weight.detach().gather(1, indices)
    torch.testing.assert_close(
        gathered_torch(x, indices, weights, linear.bias), F.linear(x, masked(linear, indices), linear.bias)
    )


def test_all_features_are_the_plain_layer():
    linear = random_layer(6, 9)
    layer, x = DecomposedLinear(linear, random_sets(6, 9, 9)), torch.randn(5, 9)
    torch.testing.assert_close(layer(x), linear(x))
    assert torch.equal(layer.to_linear().weight, linear.weight)


@pytest.mark.parametrize("shape", [(9,), (2, 9), (3, 0, 9), (2, 3, 9)])
@pytest.mark.parametrize("grad", [True, False])
def test_leading_axes(shape, grad):
    layer, x = DecomposedLinear(random_layer(6, 9), random_sets(6, 9, 2)), torch.randn(shape)
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(layer(x), layer.to_linear()(x))


@pytest.mark.parametrize("shape", [(8,), (4, 8), (4, 2, 8), (18, 1)])
def test_a_wrong_width_is_refused_as_by_a_linear_layer(shape, monkeypatch):
    monkeypatch.setattr(_forms, "LARGE", 0)
    layer = DecomposedLinear(random_layer(6, 9), random_sets(6, 9, 1))
    for grad in (True, False):
        with torch.set_grad_enabled(grad), pytest.raises(RuntimeError):
            layer(torch.randn(shape))


def test_weights_are_copied():
    linear = random_layer(3, 4)
    layer = DecomposedLinear(linear, [[0, 1], [1, 2], [3, 0]])
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.zero_()
    assert layer.weight.all() and layer.bias.all()


def change_in_place(layer):
    layer.weight.mul_(2)


def change_bias(layer):
    layer.bias.add_(1)


def fused_step(layer):
    layer.weight.grad = torch.ones_like(layer.weight)
    torch.optim.Adam([layer.weight], 0.1, fused=True).step()


def replace(layer):
    layer.weight = nn.Parameter(layer.weight * 3)


def load(layer):
    layer.load_state_dict(DecomposedLinear(random_layer(6, 90, seed=7), random_sets(6, 90, 2, seed=5)).state_dict())


def there_and_back(layer):
    layer.bfloat16().float()


@pytest.mark.parametrize("change", [change_in_place, change_bias, fused_step, replace, load, there_and_back])
@pytest.mark.parametrize("large", [0, 1 << 30])
@pytest.mark.parametrize("n", [1, 5])
def test_what_is_kept_follows_the_weights(change, large, n, monkeypatch):
    monkeypatch.setattr(_forms, "LARGE", large)
    layer, x = DecomposedLinear(random_layer(6, 90), random_sets(6, 90, 2)), torch.randn(n, 90)
    with torch.no_grad():
        before = layer(x)
        change(layer)
        assert not torch.equal(layer(x), before)
        torch.testing.assert_close(layer(x), F.linear(x, layer.dense_weight(), layer.bias))


def test_a_state_dict_makes_another_layer_the_same():
    layer = DecomposedLinear(random_layer(6, 9), random_sets(6, 9, 2))
    other = DecomposedLinear(random_layer(6, 9, seed=1), random_sets(6, 9, 2, seed=1))
    stored = io.BytesIO()
    torch.save(layer.state_dict(), stored)
    stored.seek(0)
    other.load_state_dict(torch.load(stored, weights_only=True))
    x = torch.randn(4, 9)
    assert set(layer.state_dict()) == {"weight", "bias", "indices"} and torch.equal(layer(x), other(x))


def test_copies_prepare_their_own():
    layer, x = DecomposedLinear(random_layer(6, 9), random_sets(6, 9, 2)), torch.randn(4, 9)
    with torch.no_grad():
        layer(x)
        other = copy.deepcopy(layer)
        other.weight.zero_()
        assert torch.equal(other(x), other.bias.expand(4, 6)) and not torch.equal(layer(x), other(x))


def test_inference_mode():
    with torch.inference_mode():
        layer, x = DecomposedLinear(random_layer(6, 9), random_sets(6, 9, 2)), torch.randn(4, 9)
        before = layer(x)
        layer.weight.mul_(2)
        assert not torch.equal(layer(x), before)
    trained = DecomposedLinear(random_layer(6, 9), random_sets(6, 9, 2))
    with torch.inference_mode():
        trained(x)
    trained(torch.randn(4, 9)).sum().backward()
    assert trained.weight.grad is not None


def test_vmap_over_inputs_and_weights(monkeypatch):
    monkeypatch.setattr(_forms, "LARGE", 0)
    layer, x = DecomposedLinear(random_layer(6, 90), random_sets(6, 90, 2)), torch.randn(3, 4, 90)
    stacked = {name: torch.stack([value.detach()] * 3) for name, value in layer.named_parameters()}
    with torch.no_grad():
        expected = layer(x)
        torch.testing.assert_close(torch.vmap(layer)(x), expected)
        called = torch.vmap(lambda state, row: torch.func.functional_call(layer, state, row))(stacked, x)
        torch.testing.assert_close(called, expected)


@pytest.mark.parametrize("grad", [True, False])
def test_compiled_and_exported_it_is_plain_operations(grad, monkeypatch):
    monkeypatch.setattr(_forms, "LARGE", 0)
    layer, x = DecomposedLinear(random_layer(6, 90), random_sets(6, 90, 2)), torch.randn(3, 90)
    with torch.set_grad_enabled(grad):
        compiled = torch.compile(layer, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), layer(x))
        torch.testing.assert_close(torch.export.export(layer, (x,)).module()(x), layer(x))


BAD = {
    "must lie in 0 .. 3, not 0 .. 9": [[0, 9], [1, 2], [3, 4]],
    "must lie in 0 .. 3, not -1": [[0, -1], [1, 2], [3, 0]],
    "class 1 has an index twice": [[0, 1], [2, 2], [3, 0]],
    "3 classes but there are 2 sets": [[0, 1], [2, 3]],
    "1 .. 4 units, not 5": [[0, 1, 2, 3, 4]] * 3,
    "1 .. 4 units, not 0": torch.zeros(3, 0, dtype=torch.int64),
    "different sizes": [[0], [1, 2], [3]],
    "torch.float32": torch.rand(3, 2),
    "not torch.int64 (3,)": torch.arange(3),
    "mask has 3 columns": np.ones((3, 3), bool),
    "keeps nothing": np.zeros((3, 4), bool),
}


@pytest.mark.parametrize(("message", "indices"), BAD.items(), ids=list(BAD))
def test_bad_sets(message, indices):
    with pytest.raises(ValueError) as error:
        DecomposedLinear(random_layer(3, 4), indices)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
