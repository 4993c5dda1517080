"""Named sets of options: the paper's experiments, as its code configures them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from widenet import Train

Options = dict[str, Any]

PAPER: Options = {
    "epochs": 100,
    "batch_size": 128,
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "schedule": "cosine",
    "init": "signed_constant",
}
"""The recipe for CIFAR-10 in the paper's code."""

SMALL: Options = {key: value for key, value in PAPER.items() if key != "init"}
"""Training on CIFAR-10 and MNIST."""
ADAM: Options = {"epochs": 100, "batch_size": 60, "optimizer": "adam", "weight_decay": 0.0, "schedule": "constant"}
"""Dense training with Adam, whose rate differs by network; the paper's code passes Adam no weight decay."""
CRESNET: Options = {**SMALL, "batch_size": 256, "weight_decay": 5e-4}
"""Training of the residual network on CIFAR-10, unless its masks are sampled or random."""
IMAGENET: Options = {
    "epochs": 100,
    "batch_size": 256,
    "lr": 0.256,
    "momentum": 0.875,
    "weight_decay": 2**-15,
    "schedule": "cosine",
    "warmup": 5,
    "label_smoothing": 0.1,
}
"""Training on ImageNet."""
SAMPLED: Options = {**SMALL, "weight_decay": 0.0}
"""Training of the scores that masks are sampled by (Zhou et al. 2019): large rates, as p (1 - p) shrinks every gradient."""

INITS = {
    "kn": "kaiming_normal",
    "ku": "kaiming_uniform",
    "sc": "signed_constant",
    "xn": "xavier_normal",
    "xs": "xavier_constant",
}
ARCHS = {"conv4wide": "conv4", "conv6wide": "conv6", "wideresnet50": "wide_resnet50_2", "wideresnet101": "wide_resnet101_2"}
"""Networks that presets call otherwise; the wide ones are widened with --arch conv4:width=2."""
CONVS = ("conv2", "conv4", "conv6", "conv8")
WIDE = ("conv4wide", "conv6wide")
ADAM_LR = {"conv2": 2e-4, "fc": 1.2e-3}
SAMPLED_LR = {"conv8": 800.0, "cresnet18": 400.0}
SAMPLED_LR_60 = {"conv2": 100.0, "conv4": 50.0, "conv6": 20.0}
"""Rates of the variants that follow Zhou et al. in their batches of 60."""
SUBNETS = {
    **dict.fromkeys((*CONVS, "fc", "cresnet18", "resnet50"), ("kn", "sc", "ukn", "usc")),
    **dict.fromkeys(("resnet101", "wideresnet50", "wideresnet101"), ("ukn", "usc")),
    "conv4wide": ("kn", "ukn"),
    "conv6wide": ("ukn",),
    "resnet18": ("ukn",),
}
"""Network -> initialisations whose edge-popup masks the paper compares."""


def _network(name: str, *, learned_norm: bool = False) -> Options:
    """The architecture, without biases as all in the paper, and its data."""
    arch = ARCHS.get(name, name)
    dataset = {"fc": "mnist"}.get(name, "cifar10" if name.startswith("c") else "imagenet")
    norm = f":affine={str(learned_norm).lower()},bias=false" if "resnet" in name else ""
    return {"arch": arch + norm, "dataset": dataset}


def _weights(letters: str) -> Options:
    """What ``kn``, ``ukn`` and so on stand for; a leading u is unscaled."""
    return {"init": INITS[letters[-2:]], **({} if letters.startswith("u") else {"scale_fan": True})}


def _trained(name: str, variant: str, recipe: Options) -> Options:
    """Weights that train, densely or under a mask; batch norm's scale and shift, if there are any, train with them."""
    learned = {"train_norm": True} if "resnet" in name else {}
    return {**_network(name, learned_norm=True), "variant": variant, **recipe, "init": "kaiming_normal", **learned}


def _edge_popup() -> Iterator[tuple[str, Options]]:
    unlike = {"resnet50_sc": {"lr": 0.1}}
    for name, inits in SUBNETS.items():
        recipe = CRESNET if name == "cresnet18" else IMAGENET if "resnet" in name else SMALL
        for letters in inits:
            preset = f"{name}_{letters}"
            yield preset, {**_network(name), "variant": "edge-popup", **recipe, **_weights(letters), **unlike.get(preset, {})}
    for letters in ("uku", "uxn"):
        yield f"conv4_{letters}", {**_network("conv4"), "variant": "edge-popup", **SMALL, **_weights(letters)}
    yield "conv4_ukn_dnw", {**_network("conv4"), "variant": "dnw", **SMALL, **_weights("ukn")}


def _sampled() -> Iterator[tuple[str, Options]]:
    def sampled(name: str, letters: str, **recipe: Any) -> Options:
        # The paper's code evaluates under a mask that it draws, too.
        return {**_network(name), "variant": "sample", "eval_samples": 1, **SAMPLED, **_weights(letters), **recipe}

    inits = dict.fromkeys(CONVS, ("ukn", "usc", "uxn", "uxs")) | dict.fromkeys(WIDE, ("ukn",)) | {"cresnet18": ("ukn", "usc")}
    for name, several in inits.items():
        for letters in several:
            yield f"{name}_{letters}_sample", sampled(name, letters, lr=SAMPLED_LR.get(name, 200.0))
    # Named uku by the paper's code, which yet gives them signed constants.
    yield "conv4_uku_sample", sampled("conv4", "usc", lr=50.0, schedule="constant", weight_decay=1e-4)
    yield "conv6_uku_sample", sampled("conv6", "usc", lr=100.0, schedule="constant")
    for name, lr in SAMPLED_LR_60.items():
        for letters in inits[name]:
            yield f"{name}_{letters}_samplev2", sampled(name, letters, lr=lr, batch_size=60)
    yield "resnet50_ukn_sample", sampled("resnet50", "ukn", lr=400.0, batch_size=256)


def _random() -> Iterator[tuple[str, Options]]:
    """Weights trained under a random mask ("rg", random graph), whose layer the paper's code lacks: this is our reading."""
    for name in (*CONVS, *WIDE):
        yield f"{name}_rg", _trained(name, "random", {**SMALL, "lr": 0.01})
        yield f"{name}_hlrrg", _trained(name, "random", SMALL)
    for name in CONVS:
        yield f"{name}_arg", _trained(name, "random", {**ADAM, "lr": ADAM_LR.get(name, 3e-4)})
    yield "cresnet18_rg", _trained("cresnet18", "random", SMALL)


def _dense() -> Iterator[tuple[str, Options]]:
    for name in (*CONVS, "fc", *WIDE):
        yield f"{name}_sgd_baseline", _trained(name, "dense", {**SMALL, "lr": 0.1 if name == "fc" else 0.01})
        yield f"{name}_adam_baseline", _trained(name, "dense", {**ADAM, "lr": ADAM_LR.get(name, 3e-4)})
    for name in WIDE:
        yield f"{name}_hlrsgd_baseline", _trained(name, "dense", SMALL)
    yield "cresnet18_dense", _trained("cresnet18", "dense", CRESNET)
    for name in ("resnet18", "resnet50", "wideresnet50"):
        yield f"{name}_dense", _trained(name, "dense", IMAGENET)


def _plain(preset: Options) -> Options:
    """What plain training knows of a preset."""
    known = {field.name for field in attrs.fields(Train)} | {"arch", "dataset"}
    return {key: value for key, value in preset.items() if key in known}


PRESETS: dict[str, Options] = {"paper": PAPER, **dict(_edge_popup()), **dict(_sampled()), **dict(_random()), **dict(_dense())}
"""For ``wn run supermask``. None sets the kept fraction: the paper tries many, and the default is one of them."""
BASELINES: dict[str, Options] = {name: _plain(preset) for name, preset in _dense()}
"""The dense ones for ``wn run train``, which leaves the weights as the network's own code draws them."""
