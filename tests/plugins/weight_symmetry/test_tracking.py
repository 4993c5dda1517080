"""How far a network has come and how large its gradients were, against sums done by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from alike import timeless
from hypothesis import given
from hypothesis import strategies as st
from small import blobs, network, of

from widenet.components import Train
from widenet.masks import Fixed, attach
from widenet.train import fit
from widenet.train.optimisers import learning_rate, make_optimiser
from widenet_weight_symmetry.tracking import Tracker, distances

CONFIG = Train(epochs=4, batch_size=16, lr=0.05)
TRACKED = ("cosine_similarity", "distance", "cumulative_gradient_norm")


def masked():
    """A network under a mask that hides first weights which are not 0."""
    net = network()
    attach(net, lambda name, weight: Fixed(weight > 0) if name == "0" else None)
    return net


def flat(tensors):
    return np.concatenate([tensor.detach().double().numpy().ravel() for tensor in tensors])


def by_hand(net, run):
    """The three statistics of every epoch, from a loop of its own."""
    optimiser, data = make_optimiser(net.train(), CONFIG), blobs()
    first, total = flat(net.parameters()), 0.0
    for epoch in range(1, CONFIG.epochs + 1):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(CONFIG, epoch)
        for x, y in data.train.batches(16, run.generator("order", 0, epoch)):
            optimiser.zero_grad()
            F.cross_entropy(net(x), y).backward()
            total += np.linalg.norm(flat(parameter.grad for parameter in net.parameters()))
            optimiser.step()
        now = flat(net.parameters())
        cosine = now @ first / np.linalg.norm(now) / np.linalg.norm(first)
        yield dict(zip(TRACKED, (cosine, np.linalg.norm(now - first), total), strict=True))


def tracked(path, net, until=99):
    """The metrics of a run, perhaps cut short before an epoch."""
    run = of(path)

    def before(epoch):
        if epoch > until:
            raise KeyboardInterrupt

    try:
        for _ in fit(run, net, blobs(), CONFIG, before=before, also=Tracker(run, net), gradient_norm=True):
            pass
    except KeyboardInterrupt:
        pass
    return timeless(run)


@pytest.mark.parametrize("make", [network, masked])
def test_as_done_by_hand(tmp_path, make):
    """All parameters count, biases and norms as well, and weights with what their mask hides."""
    lines = tracked(tmp_path, make())
    for line, wanted in zip(lines, by_hand(make(), of(tmp_path)), strict=True):
        assert {name: line[name] for name in TRACKED} == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("until", [1, 2, 3])
def test_a_resumed_run_tracks_the_same(tmp_path, until):
    """From the first weights, not from those it continues with; whatever stands in the metrics before them."""
    whole = tracked(tmp_path / "whole", network())
    of(tmp_path / "broken").log({"epoch": 0, "step": 0})
    tracked(tmp_path / "broken", network(), until)
    assert tracked(tmp_path / "broken", network())[1:] == whole


def test_nothing_moves_where_nothing_trains(tmp_path):
    run, net = of(tmp_path), network()
    config = Train(epochs=2, batch_size=16, lr=0.05)
    for _ in fit(
        run,
        net,
        blobs(),
        config,
        before=lambda epoch: net.requires_grad_(epoch == 1),
        also=Tracker(run, net),
        gradient_norm=True,
    ):
        pass
    first, second = ({name: line[name] for name in TRACKED} for line in run.metrics())
    assert first == second
    assert first["distance"] > 0


# -- two lists of tensors ----------------------------------------------------------------------------------------------


@st.composite
def vectors(draw, count=1):
    """Lists of tensors of the same shapes, of any scale."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    shapes = draw(st.lists(st.lists(st.integers(1, 4), max_size=3), min_size=1, max_size=3))
    scale = draw(st.sampled_from([1, 1e-30, 1e30]))
    return [[torch.randn(shape, generator=generator) * scale for shape in shapes] for _ in range(count)]


@given(vectors())
def test_of_a_list_with_itself(lists):
    assert distances(lists[0], lists[0]) == pytest.approx({"cosine_similarity": 1, "distance": 0}, abs=1e-12)


@given(lists=vectors(), factor=st.sampled_from([-2.0, -1.0, 0.5, 4.0]))
def test_of_a_multiple(lists, factor):
    (first,) = lists
    found = distances(first, [factor * tensor for tensor in first])
    assert found["cosine_similarity"] == pytest.approx(math.copysign(1, factor))
    assert found["distance"] == pytest.approx(abs(factor - 1) * np.linalg.norm(flat(first)))


@given(vectors(3))
def test_of_any_lists(lists):
    first, second, third = lists
    found, back = distances(first, second), distances(second, first)
    assert found == pytest.approx(back)
    assert abs(found["cosine_similarity"]) <= 1 + 1e-12
    assert found["distance"] == pytest.approx(np.linalg.norm(flat(first) - flat(second)))
    assert distances(first, third)["distance"] <= (found["distance"] + distances(second, third)["distance"]) * (1 + 1e-12)
    joined = [[torch.from_numpy(flat(tensors))] for tensors in (first, second)]
    assert distances(*joined) == pytest.approx(found)


def test_of_a_list_with_zeros():
    ones, zeros = [torch.ones(3), torch.ones(1)], [torch.zeros(3), torch.zeros(1)]
    assert distances(ones, zeros) == {"cosine_similarity": 0, "distance": 2}
    assert distances(zeros, zeros) == {"cosine_similarity": 0, "distance": 0}


def test_lists_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        distances([torch.ones(2)], [])
