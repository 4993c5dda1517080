"""One shared pass gives the curves of the textbook way, of any network; and leaves the network as it was."""

import pytest
import torch
from small_nets import Batches, Functional, images, mlp, networks
from torch import nn

from widenet.masks import Fixed, attach
from widenet_frivolous.ablation import Ablation, Target, fitting, one_by_one
from widenet_frivolous.layers import perturbed_layers
from widenet_frivolous.orders import beginning
from widenet_frivolous.perturb import Drop, Noise, Weights
from widenet_frivolous.points import Point
from widenet_frivolous.replay import replay

NETS = networks()
PARTS = (0.25, 0.5, 1.0)


def conditions(layers, kind, seed=0):
    """Perturbations of each kind at three levels."""
    generator = torch.Generator().manual_seed(seed)
    orders = {layer.name: torch.randperm(layer.units, generator=generator) for layer in layers}
    means = {layer.name: torch.rand(layer.units, generator=generator) for layer in layers}
    if kind == "noise":
        return tuple(Noise(level, seed) for level in PARTS)
    sets = [{name: beginning(order, round(part * len(order))) for name, order in orders.items()} for part in PARTS]
    return tuple(Drop(each, kind, means, seed) for each in sets)


def alike(found, expected, kl=1e-6):
    assert torch.equal(found.agree, expected.agree)
    assert torch.equal(found.right, expected.right)
    assert found.intact == expected.intact
    assert found.kl.tolist() == pytest.approx(expected.kl.tolist(), rel=kl, abs=kl)


@pytest.mark.parametrize("kind", ["zero", "mean", "resample", "noise"])
@pytest.mark.parametrize("name", NETS)
def test_curves_equal_the_textbook_way(name, kind):
    net, paths = NETS[name]
    split = images()
    engine = Ablation(net, split, 16)
    layers = perturbed_layers(net, engine, paths)
    groups = [*([layer] for layer in layers), layers]
    targets = [Target(tuple(layer.point for layer in group), conditions(group, kind)) for group in groups]
    for target, found in zip(targets, engine.measure(targets), strict=True):
        alike(found, one_by_one(net, split, target, 16))


def kind_of(name, *paths):
    net, _ = NETS[name]
    return Ablation(net, images()).plan([Point(path) for path in paths]).kind


def test_how_networks_can_be_cut():
    assert kind_of("conv", "convs.1") == kind_of("resnet", "layer2") == kind_of("resnet", "linear:input") == "cut"
    assert kind_of("fc", "linear.1", "linear.3") == kind_of("shared", "conv") == kind_of("functional", "last:input") == "cut"
    assert kind_of("resnet", "layer1.0.relu1") == kind_of("functional", "first") == "around"


def test_without_reuse_everything_is_computed_anew():
    net, paths = NETS["conv"]
    engine = Ablation(net, images(), reuse=False)
    assert engine.plan([Point(paths[0])]).kind == "whole"


class Moody(Functional):
    """A network that counts its calls, and computes otherwise in each."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) + self.calls


def test_a_network_that_cannot_be_replayed_runs_whole():
    assert Ablation(Moody().eval(), images()).plan([Point("second")]).kind == "whole"


class Mixing(nn.Module):
    """A network whose images depend on one another in evaluation too."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.ReLU()), nn.Linear(8, 5)

    def forward(self, x):
        x = self.body(x)
        return self.head(x - x.mean(0))


def test_images_that_depend_on_one_another_do_not_go_together():
    torch.manual_seed(1)
    net = Mixing().eval()
    engine = Ablation(net, split := images(), 16)
    layers = perturbed_layers(net, engine, ["body.2"])
    assert engine.plan([layers[0].point]).kind == "cut"
    assert not engine.plan([layers[0].point]).apart
    target = Target((layers[0].point,), conditions(layers, "zero"))
    alike(engine.measure([target])[0], one_by_one(net, split, target, 16))


def test_a_level_that_leaves_nothing_of_the_images_takes_one_of_them(monkeypatch):
    net, split = mlp()
    engine = Ablation(net, split, 40)
    target = Target((Point("3"),), (Drop({"3": torch.ones(16, dtype=torch.bool)}),))
    engine.plan(target.points)
    calls = []
    monkeypatch.setattr("widenet_frivolous.ablation.replay", lambda *given: calls.append(1) or replay(*given))
    alike(engine.measure([target])[0], one_by_one(net, split, target, 40))
    assert len(calls) == 1


@pytest.mark.parametrize("knockout", [False, True])
def test_weights_are_changed_and_put_back(knockout):
    net, _ = NETS["conv"]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    kinds = tuple(Weights(level, 3, ("convs.2",), knockout) for level in (0.0, 0.3, 1.0))
    target = Target((Point("convs.2:input"),), kinds)
    found = Ablation(net, images(), 16).measure([target])[0]
    alike(found, one_by_one(net, images(), target, 16), 0)
    assert found.agreement[0] == 1
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_masks_stay_on_weights_with_noise():
    net, _ = networks()["fc"]
    attach(net, lambda name, weight: Fixed(torch.rand(weight.shape, generator=torch.Generator().manual_seed(0)) < 0.5))
    seen = []
    handle = net.get_submodule("linear.2").register_forward_hook(lambda m, *_: seen.append(m.weight.detach().clone()))
    target = Target((Point("linear.2:input"),), (Weights(0.5, 0, ("linear.2",), False),))
    Ablation(net, images(), 64).measure([target])
    handle.remove()
    dropped = ~net.get_submodule("linear.2").parametrizations.weight[0].mask
    assert not seen[-1][dropped].any()
    assert not torch.equal(seen[-1], net.get_submodule("linear.2").weight)


def test_nothing_is_left_behind():
    for net, paths in NETS.values():
        engine = Ablation(net, images(), 16)
        layers = perturbed_layers(net, engine, paths)
        engine.measure([Target(tuple(layer.point for layer in layers), conditions(layers, "zero"))])
        for module in net.modules():
            assert "forward" not in vars(module)
            assert not module._forward_hooks
            assert not module._forward_pre_hooks


def test_the_mode_is_put_back_also_after_a_failure():
    net, _ = networks()["fc"]
    net.train()
    engine = Ablation(net, images(), 16)
    bad = Target((Point("linear.1"),), (Drop({"linear.1": torch.ones(3, dtype=torch.bool)}),))
    with pytest.raises(RuntimeError):
        engine.measure([bad])
    assert net.training
    assert "forward" not in vars(net.get_submodule("linear.1"))


def test_no_last_batch_is_a_single_sample():
    assert [fitting(count, 4) for count in (3, 8, 9, 13, 1)] == [4, 4, 5, 5, 4]
    assert all(
        fitting(count, size) >= count or count % fitting(count, size) != 1 for count in range(2, 60) for size in range(1, 60)
    )


def test_a_last_partial_batch_counts():
    net, paths = NETS["conv"]
    x, y = next(images(37).batches(37))
    target = Target((Point(paths[0]),), (Drop({paths[0]: torch.arange(6) < 3}),))
    sizes = [Ablation(net, Batches(x, y), size).measure([target])[0] for size in (5, 36, 37)]
    assert len({each.agreement[0] for each in sizes}) == 1
    assert all(each.samples == 37 for each in sizes)
