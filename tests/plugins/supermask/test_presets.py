"""The presets: the catalogue is whole, and every one makes a run."""

import itertools
import re

import attrs
import pytest
import torch
from torch import nn

from widenet.builtin.datasets import datasets
from widenet.builtin.models import models
from widenet.components import Train
from widenet.options import build, resolve, split_spec
from widenet_supermask.config import Supermask
from widenet_supermask.presets import BASELINES, PRESETS

MODELS = {model.name: model for model in models()}
INPUTS = {"cifar10": ((3, 32, 32), 10), "mnist": ((1, 28, 28), 10), "imagenet": ((3, 224, 224), 1000)}
DENSE = """
    {conv2,conv4,conv6,conv8,fc,conv4wide,conv6wide}_{sgd,adam}_baseline {conv4,conv6}wide_hlrsgd_baseline
    {cresnet18,resnet18,resnet50,wideresnet50}_dense
"""
FAMILIES = f"""
    paper {{conv2,conv4,conv6,conv8,fc,cresnet18,resnet50}}_{{kn,sc,ukn,usc}} conv4_{{uku,uxn,ukn_dnw}}
    conv4wide_{{kn,ukn}} conv6wide_ukn resnet18_ukn {{resnet101,wideresnet50,wideresnet101}}_{{ukn,usc}}
    conv{{2,4,6,8}}_{{ukn,usc,uxn,uxs}}_sample conv{{4,6}}_uku_sample conv{{4,6}}wide_ukn_sample
    cresnet18_{{ukn,usc}}_sample resnet50_ukn_sample conv{{2,4,6}}_{{ukn,usc,uxn,uxs}}_samplev2
    conv{{2,4,6,8}}_{{rg,arg,hlrrg}} conv{{4,6}}wide_{{rg,hlrrg}} cresnet18_rg {DENSE}
"""
SPLIT = ("arch", "dataset")


def expanded(families):
    """Every name that the shell would make of ``a{b,c}``."""
    for word in families.split():
        pieces = [piece.split(",") for piece in re.split(r"[{}]", word)]
        yield from map("".join, itertools.product(*pieces))


def options_of(preset, config=Supermask):
    return build(config, resolve(config, {k: v for k, v in preset.items() if k not in SPLIT}, "preset"), "preset")


def test_the_catalogue_is_whole():
    assert sorted(PRESETS) == sorted(expanded(FAMILIES))
    assert sorted(BASELINES) == sorted(expanded(DENSE))


def test_the_recipe_that_folders_are_named_after():
    recipe = {"epochs": 100, "batch_size": 128, "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "schedule": "cosine"}
    assert PRESETS["paper"] == {**recipe, "init": "signed_constant"}
    assert PRESETS["conv4_usc"] == {**PRESETS["paper"], "variant": "edge-popup", "arch": "conv4", "dataset": "cifar10"}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_options(name):
    preset = PRESETS[name]
    config = options_of(preset)
    assert "keep" not in preset, "the paper gives it for each run"
    assert config.scale_fan == (name.split("_")[-1] in ("kn", "sc"))
    assert not (config.optimizer == "adam" and config.weight_decay)
    known = {dataset.name for dataset in datasets()}
    assert preset.get("dataset", "cifar10") in known


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_is_the_dense_preset_of_its_name(name):
    plain, dense = options_of(BASELINES[name], Train), options_of(PRESETS[name])
    assert dense.variant == "dense"
    assert attrs.asdict(plain).items() <= attrs.asdict(dense).items()
    assert all(BASELINES[name][key] == PRESETS[name][key] for key in SPLIT)


@pytest.mark.parametrize(("arch", "dataset"), sorted({tuple(p[key] for key in SPLIT) for p in PRESETS.values() if "arch" in p}))
def test_every_network_has_no_bias_and_learns_norms_only_where_weights_train(arch, dataset):
    name, given = split_spec(arch)
    model = MODELS[name]
    with torch.device("meta"):
        net = model.function(*INPUTS[dataset], build(model.config, resolve(model.config, given, arch), arch))
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    layers = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert all(layer.bias is None for layer in layers)
    for preset in [preset for preset in PRESETS.values() if preset.get("arch") == arch]:
        train = bool(preset.get("train_norm"))
        assert all(norm.affine == train for norm in norms)
        assert train == bool(norms and preset["variant"] in ("dense", "random"))
