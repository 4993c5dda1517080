"""The presets: each makes options, a network that fits its data, and the published rates."""

import math
from itertools import pairwise
from typing import Literal

import attrs
import pytest
import torch

from widenet import Train, opt
from widenet.builtin.datasets import datasets
from widenet.options import build, resolve, split_spec
from widenet.train.optimisers import learning_rate
from widenet_redundant_repr.datasets import DATASETS
from widenet_redundant_repr.models import MODELS
from widenet_redundant_repr.presets import PARITY, TRAIN, adam_rate

SPLIT = ("arch", "dataset")
INPUTS = {"cifar10": ((3, 32, 32), 10), "cifar100": ((3, 32, 32), 100), "parity": ((10,), 2)}
WIDTHS = {
    "wrn28_1_inpl4": 16,
    "wrn28_1_inpl8": 32,
    **{f"wrn28_{k}": 64 * k for k in (1, 2, 4, 8, 10)},
    **{f"densenet40_{n}": 11 * n // 2 for n in (8, 16, 32, 64, 128, 256)},
}


@attrs.frozen(kw_only=True)
class Hinged(Train):
    """Training with a choice of losses."""

    loss: Literal["cross-entropy", "squared-hinge"] = opt("cross-entropy", "Loss.")


def options_of(preset, config=Train):
    return build(config, resolve(config, {k: v for k, v in preset.items() if k not in SPLIT}, "preset"), "preset")


def named(components, spec):
    """The component that a specification means, and its options."""
    name, given = split_spec(spec)
    component = next(component for component in components if component.name == name)
    return component, build(component.config, resolve(component.config, given, spec), spec)


def network(preset):
    """The preset's network without its weights, for its data."""
    data, chosen = named([*datasets(), *DATASETS], preset["dataset"])
    shape, classes = INPUTS[getattr(chosen, "name", data.name)]
    model, config = named(MODELS, preset["arch"])
    with torch.device("meta"):
        return model.function(shape, classes, config), shape, classes


@pytest.mark.parametrize("name", [name for name in TRAIN if "_8" not in name or name.endswith("cifar10")])
def test_every_network_fits_its_data(name):
    net, shape, classes = network(TRAIN[name])
    assert net.eval()(torch.empty(2, *shape, device="meta")).shape == (2, classes)


@pytest.mark.parametrize("name", TRAIN)
def test_training_as_published(name):
    chosen = options_of(TRAIN[name])
    assert (chosen.epochs, chosen.batch_size, chosen.optimizer, chosen.momentum) == (200, 128, "sgd", 0.9)
    assert not chosen.nesterov
    assert chosen.norm_decay
    assert chosen.warmup == 0
    assert chosen.weight_decay == (0 if name.endswith("no-decay") else 5e-4)
    assert chosen.label_smoothing == (0.1 if name.endswith("smoothed") else 0)
    assert chosen.save_at == (1, 2, 5, 10, 20, 40, 60, 80, 100, 130, 140, 150, 160, 180)
    dataset = "cifar100:border=reflect" if "cifar100" in name else "cifar10:border=reflect"
    assert TRAIN[name]["dataset"] == ("cifar-randaugment" if name.endswith("randaugment") else dataset)


def test_rates_of_every_epoch():
    chosen = options_of(TRAIN["wrn28_8-cifar10"])
    for epoch in range(1, 201):
        wanted = 1e-5 + (0.1 - 1e-5) * (1 + math.cos(math.pi * (epoch - 1) / 200)) / 2
        assert learning_rate(chosen, epoch) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("name", [name for name in TRAIN if name.count("-") == 1])
def test_names_say_the_width_and_the_data(name):
    arch, dataset = name.split("-")
    net, _, classes = network(TRAIN[name])
    assert net[-1].weight.shape == (classes, WIDTHS[arch])
    assert TRAIN[name]["dataset"].startswith(f"{dataset}:")


def test_the_grid_is_whole():
    names = {name for name in TRAIN if name.count("-") == 1}
    assert names == {
        f"{arch}-{data}"
        for data in ("cifar10", "cifar100")
        for arch, width in WIDTHS.items()
        if data == "cifar10" or width > 100 or "dense" in arch
    }


@pytest.mark.parametrize(
    ("width", "rate"), [(16, 1e-4), (64, 1e-4), (128, 6.80e-5), (256, 2.42e-5), (512, 8.60e-6), (1024, 3.05e-6)]
)
def test_rates_of_parity_networks(width, rate):
    assert adam_rate(width) == pytest.approx(rate, rel=2e-3)
    assert PARITY[f"pmnist_{width}"]["lr"] == adam_rate(width)


@pytest.mark.parametrize("name", PARITY)
def test_parity_as_published(name):
    chosen = options_of(PARITY[name], Hinged)
    assert (chosen.loss, chosen.epochs, chosen.batch_size) == ("squared-hinge", 20_000, 256)
    assert (chosen.optimizer, chosen.schedule, chosen.weight_decay) == ("adam", "constant", 0.03)
    net, shape, _ = network(PARITY[name])
    assert net.linear_out.weight.shape == (1, int(name.removeprefix("pmnist_")))
    assert net.eval()(torch.empty(2, *shape, device="meta")).shape == (2, 2)


def test_a_rate_never_exceeds_its_limit():
    rates = [adam_rate(width) for width in range(1, 2000)]
    assert max(rates) == 1e-4
    assert all(later <= earlier for earlier, later in pairwise(rates))
