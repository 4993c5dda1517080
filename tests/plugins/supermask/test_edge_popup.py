"""Edge-popup against recorded oracles: masks, gradients and three training steps."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from widenet.builtin.models import models
from widenet.components import Train
from widenet.masks import attach, masks, modules, plain_state
from widenet.train.optimisers import make_optimiser
from widenet_supermask.ranked import Share
from widenet_supermask.variants.edge_popup import EdgePopup

GOLDEN = Path(__file__).parents[2] / "golden" / "supermask"


@pytest.fixture(scope="module")
def oracle():
    with np.load(GOLDEN / "c1_conv4wide_w0.125_k0.5_sgd.npz") as file:
        return dict(file)


def narrow_conv4(oracle):
    conv4 = next(model for model in models() if model.name == "conv4")
    net = conv4.function((3, 32, 32), 10, conv4.config(width=0.125))
    net.requires_grad_(False)

    def popup(name, weight):
        with torch.no_grad():
            weight.copy_(torch.from_numpy(oracle[f"param/{name}.weight"]).reshape(weight.shape))
        scores = torch.from_numpy(oracle[f"param/{name}.scores"]).reshape(weight.shape).clone()
        return EdgePopup(scores, Share(float(oracle["k"])))

    attach(net, popup)
    return net


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_three_steps_as_recorded(oracle, layout):
    net = narrow_conv4(oracle).to(memory_format=layout)
    config = Train(lr=float(oracle["lr"]), momentum=float(oracle["momentum"]), weight_decay=float(oracle["wd"]))
    steps = make_optimiser(net, config)
    x, y = torch.from_numpy(oracle["x"]), torch.from_numpy(oracle["y"])
    before = plain_state(net)
    for step in range(3):
        logits = net(x.to(memory_format=layout))
        loss = F.cross_entropy(logits, y)
        loss.backward()
        close = {"atol": 1e-5, "rtol": 0}
        np.testing.assert_allclose(logits.detach().numpy(), oracle[f"step{step}/logits"], **close)
        np.testing.assert_allclose(loss.item(), oracle[f"step{step}/loss"], **close)
        for name, mask in masks(net).items():
            assert np.array_equal(mask.numpy().reshape(-1), oracle[f"step{step}/mask/{name}"].reshape(-1).astype(bool)), name
            got = modules(net)[name].scores.grad.reshape(-1)
            np.testing.assert_allclose(got, oracle[f"step{step}/grad/{name}.scores"].reshape(-1), **close)
        steps.step()
        steps.zero_grad()
        for name, module in modules(net).items():
            got = module.scores.detach().reshape(-1)
            np.testing.assert_allclose(got, oracle[f"step{step}/scores_after/{name}.scores"].reshape(-1), **close)
    after = plain_state(net)
    assert all(torch.equal(before[name], after[name]) for name in before), "weights must never move"


@given(
    n=st.integers(1, 40),
    keep=st.floats(0.01, 1),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_gradient_passes_the_choice_straight_through(n, keep, seed):
    generator = torch.Generator().manual_seed(seed)
    weight, upstream, scores = (torch.randn(n, 3, generator=generator, dtype=torch.float64) for _ in range(3))
    scores[0, 0] = 0
    popup = EdgePopup(scores.clone(), Share(keep))
    effective = popup(weight)
    kept = weight.numel() - int((1 - keep) * weight.numel())
    assert int(popup.mask.sum()) == kept
    assert torch.equal(effective, weight * popup.mask)
    effective.backward(upstream)
    assert torch.equal(popup.scores.grad, upstream * weight * scores.sign())


class Counting(EdgePopup):
    count = 0

    def stale(self, weight):
        answer = super().stale(weight)
        Counting.count += answer
        return answer


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_chosen_once_a_step_and_never_in_evaluation(kind, fused):
    layer = nn.Linear(6, 5, bias=False).requires_grad_(False)
    attach(layer_net := nn.Sequential(layer), lambda name, weight: Counting(torch.randn_like(weight), Share(0.5)))
    steps = kind([p for p in layer_net.parameters() if p.requires_grad], 0.5, fused=fused)
    Counting.count = 0
    x = torch.randn(4, 6)
    for step in range(1, 4):
        layer_net(x).square().sum().backward()
        layer_net(x).square().sum().backward()  # gradients accumulated over two batches
        with torch.no_grad():
            layer_net(x)
            masks(layer_net)
        assert Counting.count == step - 1  # attaching it chose the first mask
        before = modules(layer_net)["0"].scores.detach().clone()
        steps.step()
        assert not torch.equal(before, modules(layer_net)["0"].scores)
    scores = modules(layer_net)["0"].scores
    order = scores.abs().flatten().argsort(stable=True)
    expected = torch.ones(30, dtype=torch.bool).index_fill(0, order[:15], False).reshape(5, 6)
    assert torch.equal(masks(layer_net)["0"], expected)


def test_scores_set_by_hand_or_loaded_are_noticed():
    popup = EdgePopup(torch.tensor([1.0, 2.0, 3.0, 4.0]), Share(0.5))
    weight = torch.ones(4)
    assert popup(weight).tolist() == [0, 0, 1, 1]
    with torch.no_grad():
        popup.scores[0] = 9
    assert popup(weight).tolist() == [1, 0, 0, 1]
    popup.load_state_dict({"scores": torch.tensor([4.0, 3.0, 2.0, 1.0])})
    assert popup(weight).tolist() == [1, 1, 0, 0]
    twin = copy.deepcopy(popup)
    with torch.no_grad():
        twin.scores[3] = 9
    assert twin(weight).tolist() == [1, 0, 0, 1]
    assert popup(weight).tolist() == [1, 1, 0, 0]


@pytest.mark.filterwarnings("default")  # the compiler's own
def test_compiled_network_follows_the_scores():
    from widenet.masks import refresh

    net = nn.Sequential(nn.Linear(6, 5, bias=False)).requires_grad_(False)
    attach(net, lambda name, weight: EdgePopup(torch.randn_like(weight), Share(0.5)))
    compiled = torch.compile(net, backend="eager")
    x = torch.randn(3, 6)
    steps = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 5.0, fused=True)
    for _ in range(3):
        refresh(net)
        out = compiled(x)
        assert torch.equal(out, x @ (net[0].parametrizations.weight.original * masks(net)["0"]).T)
        out.square().sum().backward()
        steps.step()
        steps.zero_grad()
