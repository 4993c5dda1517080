"""What is done to layers, as contexts over any network."""

import contextlib

import pytest
import torch
from small_nets import Batches, images, networks
from torch import nn

from widenet.errors import UsageError
from widenet_frivolous.perturb import Condition, Drop, Noise, Weights, holding, knocked_out, noisy_weight, of_others
from widenet_frivolous.points import Point, calls, changed
from widenet_frivolous.recalibrate import behind, estimated, with_norms

X, _ = next(images(12).batches(12))


@contextlib.contextmanager
def under(net, condition, *names):
    """The network with points of it changed as a condition does."""
    changes = [(Point(name), lambda value, name=name: condition.change(net, name, value, 0, None)) for name in names]
    with condition.within(net), changed(net, changes):
        yield


def heard(net, path):
    """What a module puts out, after all hooks."""
    found = []
    handle = net.get_submodule(path).register_forward_hook(lambda *given: found.append(given[2].detach().clone()))
    with torch.no_grad():
        net(X)
    handle.remove()
    return found[-1]


@pytest.mark.parametrize("replace", ["zero", "mean", "resample"])
def test_units_are_overwritten_and_others_stay(replace):
    net, _ = networks()["conv"]
    plain = heard(net, "convs.1")
    chosen = torch.arange(6) < 2
    with under(net, Drop({"convs.1": chosen}, replace, {"convs.1": torch.arange(6.0)}), "convs.1"):
        found = heard(net, "convs.1")
    assert torch.equal(found[:, ~chosen], plain[:, ~chosen])
    if replace == "zero":
        assert not found[:, chosen].any()
    elif replace == "mean":
        assert (found[:, 0] == 0).all() and (found[:, 1] == 1).all()
    else:
        assert not any(torch.equal(one, other) for one, other in zip(found[:, chosen], plain[:, chosen], strict=True))
        assert torch.equal(found[:, 0].flatten(1).sum(1).sort().values, plain[:, 0].flatten(1).sum(1).sort().values)
    assert torch.equal(heard(net, "convs.1"), plain)


def test_what_a_module_is_given():
    net, _ = networks()["functional"]
    with torch.no_grad(), under(net, Drop({"last:input": torch.ones(68, dtype=torch.bool)}), "last:input"):
        assert torch.equal(net(X), net.last.bias.expand(12, 5))


def test_values_of_others_are_never_ones_own():
    value = torch.arange(5.0)[:, None]
    for seed in range(20):
        assert (of_others(value, torch.Generator().manual_seed(seed)) != value).all()
    with pytest.raises(ValueError, match="single sample"):
        of_others(value[:1], torch.Generator())


def test_tokens_have_their_units_last():
    net = nn.Sequential(nn.Linear(7, 4), nn.ReLU()).eval()
    x = torch.randn(3, 5, 7)
    with torch.no_grad(), under(net, Drop({"1": torch.tensor([True, False, False, False])}), "1"):
        assert not net(x)[..., 0].any()
        assert net(x)[..., 1:].any()


def test_noise_is_as_large_as_each_sample_varies():
    net, _ = networks()["conv"]
    plain = heard(net, "convs.0")
    with under(net, Noise(0.5, 1), "convs.0"):
        added = heard(net, "convs.0") - plain
    ratio = added.flatten(1).std(1) / plain.flatten(1).std(1, unbiased=False)
    assert ratio.mean().item() == pytest.approx(0.5, rel=0.1)


def test_weights_with_noise_and_knocked_out():
    weight = torch.randn(40, 50, generator=torch.Generator().manual_seed(0))
    drawn = torch.randn(40, 50, generator=torch.Generator().manual_seed(1))
    added = noisy_weight(weight, 0.3, drawn) - weight
    assert added.std().item() == pytest.approx(0.3 * weight.std().item(), rel=0.05)
    uniform = torch.rand(40, 50, generator=torch.Generator().manual_seed(1))
    kept = [knocked_out(weight, level, uniform) for level in (0.0, 0.25, 0.5, 1.0)]
    assert torch.equal(kept[0], weight) and not kept[3].any()
    assert (kept[1] == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert not kept[2][kept[1] == 0].any()  # nested
    assert torch.equal(kept[2][kept[2] != 0], weight[kept[2] != 0])  # not scaled up


def test_weights_are_put_back_after_a_failure():
    net, _ = networks()["conv"]
    first, second = (net.get_submodule(path).weight for path in ("convs.0", "convs.2"))
    before = first.detach().clone()
    with pytest.raises(RuntimeError), holding([(first, torch.zeros_like(before)), (second, torch.zeros(7))]):
        pass
    assert torch.equal(first, before)
    with pytest.raises(KeyError), Weights(1.0, 0, ("convs.0",), True).within(net):
        assert not net.get_submodule("convs.0").weight.any()
        raise KeyError
    assert torch.equal(first, before)


class Pair(nn.Module):
    def forward(self, x):
        return x, None


class Tuples(nn.Module):
    def __init__(self):
        super().__init__()
        self.pair, self.number, self.head = Pair(), nn.Identity(), nn.Linear(48, 5)

    def forward(self, x):
        return self.head(self.pair(x.flatten(1))[0])


def test_the_first_of_several_outputs_counts():
    net = Tuples().eval()
    with torch.no_grad(), under(net, Drop({"pair": torch.ones(48, dtype=torch.bool)}), "pair"):
        assert torch.equal(net(X), net.head.bias.expand(12, 5))


def test_a_module_that_puts_out_no_tensor():
    class Words(nn.Module):
        def forward(self, x):
            return {"x": x}

    net = nn.Sequential(Words())
    with pytest.raises(UsageError, match="is no tensor"), changed(net, [(Point("0"), lambda value: value)]):
        net(X)


def test_batch_norm_is_estimated_anew_behind_the_perturbation_alone():
    net, _ = networks()["resnet"]
    made, points = calls(net, X), [Point("layer1.0.relu2")]
    paths = behind(net, made, points)
    assert paths and all(path.startswith(("layer2", "layer3")) for path in paths)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    split = Batches(X, torch.zeros(12, dtype=torch.int64))
    norms = estimated(net, split.batches(6), paths, points, Condition())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    with changed(net, [(Point("layer2.0.conv1"), lambda value: values.append(value.detach().clone()))]):
        values = []
        with torch.no_grad():
            net(X[:6]), net(X[6:])
    expected = torch.stack([value.mean((0, 2, 3)) for value in values]).mean(0)
    assert torch.allclose(norms["layer2.0.bn1"][0], expected, atol=1e-6)
    with with_norms(net, norms):
        assert torch.equal(net.layer2[0].bn1.running_mean, norms["layer2.0.bn1"][0])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_recalibration_follows_the_ablated_network():
    net, _ = networks()["resnet"]
    made, points = calls(net, X), [Point("relu")]
    gone = Drop({"relu": torch.ones(4, dtype=torch.bool)})
    split = Batches(X, torch.zeros(12, dtype=torch.int64))
    norms = estimated(net, split.batches(6), behind(net, made, points), points, gone)
    assert not norms["layer1.0.bn1"][0].any()
