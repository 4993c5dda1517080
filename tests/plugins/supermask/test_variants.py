"""Every variant against recorded oracles, its formula, and what all of them have in common."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from widenet.kernels.select import kept_of
from widenet.masks import attach, masks, modules, original
from widenet_supermask.ranked import Share
from widenet_supermask.variants.biprop import Biprop
from widenet_supermask.variants.dnw import Dnw
from widenet_supermask.variants.edge_popup import EdgePopup
from widenet_supermask.variants.fixed import random_mask
from widenet_supermask.variants.iterand import Iterand, redraw
from widenet_supermask.variants.sample import Sample, over_samples, sample_weight
from widenet_supermask.variants.signed import Signed

GOLDEN = Path(__file__).parents[2] / "golden" / "supermask" / "d_conv_variants.npz"
RANKED = {"edge-popup": EdgePopup, "signed": Signed, "biprop": Biprop, "iterand": Iterand, "dnw": Dnw}


@pytest.fixture(scope="module")
def oracle():
    with np.load(GOLDEN) as file:
        return {name: torch.from_numpy(file[name]) for name in file}


def close(got, wanted):
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)


def test_sampled_as_recorded(oracle):
    o = {name.removeprefix("sample/"): value for name, value in oracle.items()}
    scores = o["scores"].clone().requires_grad_()
    mask = torch.empty_like(scores, dtype=torch.bool)
    weight = sample_weight(o["weight"], scores, o["U"], mask)
    y = F.conv2d(o["x"], weight, padding=1)
    y.backward(o["upstream"])
    assert torch.equal(mask, o["mask"].bool())
    close(y.detach(), o["y"])
    close(scores.grad, o["grad_scores"])


def test_the_fixed_subnet_of_the_papers_code_is_the_popup_mask_of_what_it_does_not_remove(oracle):
    popup = EdgePopup(oracle["fixed/scores_before"].clone(), Share(1 - 0.3))
    weight = popup(oracle["fixed/weight"]).detach()
    assert torch.equal(popup.mask, oracle["fixed/scores_after"].bool())
    close(F.conv2d(oracle["fixed/x"], weight, padding=1), oracle["fixed/y_after"])


@pytest.mark.parametrize("removed", [0.3, 0.5, 0.7])
def test_signed_as_recorded(oracle, removed):
    signed = Signed(oracle["signed/scores"].clone(), Share(1 - removed))
    ternary = signed(torch.ones_like(oracle["signed/scores"]))
    assert torch.equal(ternary.detach(), oracle[f"signed/prune{removed}/mask"].float())
    ternary.backward(oracle["signed/upstream"])
    close(signed.scores.grad, oracle[f"signed/prune{removed}/grad"])


def test_wired_as_recorded(oracle):
    weight = oracle["dnw/weight"].clone().requires_grad_()
    effective = Dnw(weight, Share(0.5))(weight)
    close(effective.detach(), oracle["dnw/out_prune0.5"])
    effective.backward(oracle["dnw/upstream"])
    close(weight.grad, oracle["dnw/grad"])


@given(n=st.integers(1, 60), keep=st.floats(0.05, 1), seed=st.integers(0, 1000))
def test_binarised_is_signs_times_the_mean_of_what_is_kept(n, keep, seed):
    generator = torch.Generator().manual_seed(seed)
    weight, scores, upstream = (torch.randn(n, generator=generator, dtype=torch.float64) for _ in range(3))
    biprop = Biprop(scores.clone(), Share(keep))
    effective = biprop(weight)
    kept = biprop.mask
    assert int(kept.sum()) == kept_of(n, keep)
    torch.testing.assert_close(effective.detach(), weight.sign() * kept * weight[kept].abs().mean())
    effective.backward(upstream)
    torch.testing.assert_close(biprop.scores.grad, upstream * weight * scores.sign())


def made(variant, weight, share):
    return RANKED[variant](weight if variant == "dnw" else torch.randn_like(weight), share)


def masked_net(variant, share_of, **options):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, **options), nn.Flatten(), nn.Linear(16, 5, **options)).requires_grad_(False)

    def make(name, weight):
        path, _, parameter = name.partition(".")
        share = share_of(name)
        return share.join(made(variant, weight, share), net.get_submodule(path), parameter or "weight")

    attach(net, make, biases=True)
    return net


@pytest.mark.parametrize("variant", RANKED)
def test_what_ranks_highest_is_kept_layer_by_layer(variant):
    net = masked_net(variant, lambda name: Share(0.4), bias=False)
    for name, mask in modules(net).items():
        weight = original(net.get_submodule(name))
        ranks = mask.ranked(weight).detach().abs()
        assert int(mask.mask.sum()) == kept_of(mask.mask.numel(), 0.4)
        assert ranks[mask.mask].min() > ranks[~mask.mask].max()
        assert (net.get_submodule(name).weight != 0).sum() == mask.mask.sum()


@pytest.mark.parametrize("variant", RANKED)
def test_layers_of_one_budget_compete_and_biases_too(variant):
    share = Share(0.3, floor=0.1)
    net = masked_net(variant, lambda name: share, bias=True)
    found = masks(net)
    assert list(found) == ["0", "0.bias", "2", "2.bias"]
    kept, n = (sum(count(mask) for mask in found.values()) for count in (lambda m: int(m.sum()), torch.Tensor.numel))
    assert kept == kept_of(n, 0.3)
    assert all(mask.any() for mask in found.values())
    x = torch.randn(2, 3, 4, 4)
    twin = copy.deepcopy(net)
    assert torch.equal(net(x), twin(x))
    with torch.no_grad():
        for mask in modules(twin).values():
            if hasattr(mask, "scores"):
                mask.scores.mul_(torch.rand_like(mask.scores))
    assert all(torch.equal(mask, found[name]) for name, mask in masks(net).items()), "a copy has a budget of its own"
    share.keep = 0.8
    assert sum(int(mask.sum()) for mask in masks(net).values()) == kept_of(n, 0.8)


@pytest.mark.parametrize("variant", [*RANKED, "sample"])
def test_weights_get_gradients_where_they_train(variant):
    weight = torch.randn(6, 4, requires_grad=True)
    mask = Sample(torch.randn(6, 4)) if variant == "sample" else made(variant, weight, Share(0.5))
    effective = mask(weight)
    upstream = torch.randn(6, 4)
    effective.backward(upstream)
    expected = {
        "signed": lambda: upstream * mask.mask * mask.scores.sign(),
        "dnw": lambda: upstream,
    }.get(variant, lambda: upstream * mask.mask)()
    torch.testing.assert_close(weight.grad, expected.detach())


def test_a_stochastic_mask_is_expected_in_evaluation_and_drawn_on_request():
    sample = Sample(torch.tensor([-20.0, 0.0, 20.0]))
    weight = torch.tensor([1.0, 2.0, 4.0])
    sample.eval()
    torch.testing.assert_close(sample(weight).detach(), torch.tensor([0.0, 1.0, 4.0]))
    sample.sampling = True
    assert {tuple(sample(weight).tolist()) for _ in range(40)} == {(0, 0, 4), (0, 2, 4)}
    sample.sampling = False
    sample.train()
    assert {tuple(sample(weight).tolist()) for _ in range(40)} == {(0, 0, 4), (0, 2, 4)}
    drawn = [sample.draw(torch.Generator().manual_seed(seed)).tolist() for seed in range(40)]
    assert {tuple(mask) for mask in drawn} == {(False, False, True), (False, True, True)}


def test_evaluation_averages_over_draws():
    from widenet.data import Images

    torch.manual_seed(1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False)).requires_grad_(False)
    attach(net, lambda name, weight: Sample(torch.zeros_like(weight)))
    split = Images(torch.randn(20, 4), torch.randint(3, (20,)))
    several, expected = over_samples(30)(net, split, amp=False), over_samples(1)(net, split, amp=False)
    assert several.keys() == expected.keys() == {"loss", "accuracy"}
    assert several["accuracy"] * 20 != round(several["accuracy"] * 20), "no single draw has this accuracy"
    assert not modules(net)["1"].sampling


@given(n=st.integers(1, 200), kept=st.floats(0, 1), rate=st.floats(0.01, 1), seed=st.integers(0, 1000))
def test_only_dropped_weights_are_redrawn(n, kept, rate, seed):
    generator = torch.Generator().manual_seed(seed)
    weight, mask, fresh = torch.randn(n), random_mask(torch.Size([n]), int(kept * n), generator), torch.full((n,), 9.0)
    before = weight.clone()
    redraw(weight, mask, rate, fresh, generator)
    changed = weight != before
    assert not (changed & mask).any()
    assert (weight[changed] == 9).all()
    if rate == 1:
        assert torch.equal(changed, ~mask)


@given(n=st.integers(1, 300), share=st.floats(0, 1), seed=st.integers(0, 100))
def test_random_masks_keep_exactly(n, share, seed):
    kept = int(share * n)
    mask = random_mask(torch.Size([n]), kept, torch.Generator().manual_seed(seed))
    assert mask.dtype == torch.bool
    assert int(mask.sum()) == kept
