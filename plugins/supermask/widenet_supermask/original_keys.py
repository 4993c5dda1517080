"""What the configuration files of the paper's code may say, and which of it stays as it is here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import attrs

from widenet import opt
from widenet_supermask.config import one_minus

MUST_BE_GIVEN = -1.0
"""The original's ``prune_rate`` for "give it on the command line"."""


@attrs.frozen(kw_only=True)
class Original:
    """The options of the paper's code that decide a run, under its names and with its defaults."""

    arch: str = opt("ResNet18")
    set: str = opt("ImageNet")
    epochs: int = opt(90)
    batch_size: int = opt(256)
    optimizer: Literal["sgd", "adam"] = opt("sgd")
    lr: float = opt(0.1)
    lr_policy: Literal["constant_lr", "cosine_lr", "multistep_lr"] = opt("constant_lr")
    multistep_lr_adjust: int = opt(30)
    multistep_lr_gamma: float = opt(0.1)
    warmup_length: int = opt(0)
    momentum: float = opt(0.9)
    weight_decay: float = opt(1e-4)
    nesterov: bool = opt(False)
    no_bn_decay: bool = opt(False)
    label_smoothing: float = opt(0.0)
    # The default there is 0, with which a subnetwork keeps nothing: a file without it needs it as much as one that says -1.
    prune_rate: float = opt(MUST_BE_GIVEN)
    width_mult: float = opt(1.0)
    conv_type: str = opt("")
    bn_type: Literal["", "LearnedBatchNorm", "NonAffineBatchNorm"] = opt("")
    first_layer_type: str = opt("")
    first_layer_dense: bool = opt(False)
    last_layer_dense: bool = opt(False)
    freeze_weights: bool = opt(False)
    init: Literal[
        "kaiming_normal",
        "kaiming_uniform",
        "signed_constant",
        "unsigned_constant",
        "xavier_normal",
        "xavier_constant",
        "standard",
    ] = opt("kaiming_normal")
    mode: Literal["fan_in", "fan_out"] = opt("fan_in")
    nonlinearity: str = opt("relu")
    scale_fan: bool = opt(False)
    score_init_constant: float | None = opt(None)
    pretrained: str = opt("")
    trainer: Literal["default", "ss", "lottery"] = opt("default")
    evaluate: bool = opt(False)
    seed: int | None = opt(None)
    workers: int | None = opt(None)
    save_every: int = opt(-1)

    @property
    def norms(self) -> bool:
        """The network has batch normalisation."""
        return "ResNet" in self.arch

    @property
    def given(self) -> bool:
        """The fraction is not left to the command line."""
        return self.prune_rate != MUST_BE_GIVEN

    @property
    def kept(self) -> float | None:
        """The kept fraction, where the layers have one and it is given."""
        if self.conv_type not in WITH_FRACTION or not self.given:
            return None
        return self.prune_rate if self.conv_type == "SubnetConv" else one_minus(self.prune_rate)


IGNORED = {
    **dict.fromkeys(("name", "config"), "runs are named after their options"),
    "data": "--data-dir says where data sets are",
    "log_dir": "--runs-dir says where results go",
    "multigpu": "one device is used, which --device names",
    "print_freq": "the log has a line per epoch",
    "num_classes": "the data set says how many it has",
    **dict.fromkeys(("resume", "start_epoch"), "a run that was stopped goes on when it is started again"),
    **dict.fromkeys(("low_data", "one_batch", "random_subnet", "baseline"), "it does nothing in the original either"),
}
"""Keys without a counterpart, and why; ``baseline`` stands in two of the original's files, though it is no option there."""

RENAMED = {
    **{name: name for name in ("epochs", "batch_size", "optimizer", "lr", "momentum", "nesterov", "label_smoothing")},
    **{name: name for name in ("init", "nonlinearity", "seed", "workers")},
    "mode": "fan",
}
"""Keys whose value stays as it is -> our name for them."""

_SAME = ("FC", "Conv2", "Conv4", "Conv6", "Conv8", "cResNet18", "cResNet50", "cResNet101")
ARCHS = {
    **{name: name.lower() for name in (*_SAME, "ResNet18", "ResNet50", "ResNet101")},
    "Conv4Wide": "conv4",
    "Conv6Wide": "conv6",
    "WideResNet50_2": "wide_resnet50_2",
    "WideResNet101_2": "wide_resnet101_2",
}
SETS = {"CIFAR10": "cifar10", "MNIST": "mnist", "ImageNet": "imagenet", "BigCIFAR10": "", "TinyImageNet": ""}
"""Data sets; those without a name here are not ours."""
VARIANTS = {
    "DenseConv": "dense",
    "SubnetConv": "edge-popup",
    "SampleSubnetConv": "sample",
    "FixedSubnetConv": "fixed",
    "DNWConv": "dnw",
    "RGConv": "random",
}
WITH_SCORES = ("SubnetConv", "SampleSubnetConv")
WITH_FRACTION = ("SubnetConv", "FixedSubnetConv", "DNWConv", "RGConv")
UNPUBLISHED = ("DNWConv", "RGConv")
"""Layers that the original's files name but its code lacks."""
SCALED = ("kaiming_normal", "signed_constant", "unsigned_constant")
"""Initialisations that the original's ``scale_fan`` changes."""
POLICIES = {"constant_lr": "constant", "cosine_lr": "cosine", "multistep_lr": "step"}

FAULTS: tuple[tuple[Callable[[Original], bool], str], ...] = (
    (lambda o: o.trainer == "ss", "trainer ss is broken in the original: it learns from its penalty alone; use default"),
    (lambda o: o.trainer == "lottery", "trainer lottery is broken in the original: at first it keeps no weight; use default"),
    (lambda o: o.evaluate, "evaluate asks for no training; here every run trains, and is evaluated after each epoch"),
    (lambda o: not o.conv_type, f"conv_type is missing; choose one of {', '.join(VARIANTS)}"),
    (lambda o: o.norms and not o.bn_type, "bn_type is missing; choose LearnedBatchNorm or NonAffineBatchNorm"),
    (lambda o: not SETS[o.set], "set {0.set} is not built in; resize its images and use folder (see wn list datasets)"),
    (lambda o: o.width_mult != 1 and not o.arch.endswith("Wide"), "width_mult is for Conv4Wide and Conv6Wide, not {0.arch}"),
    (lambda o: o.given and not 0 <= o.prune_rate <= 1, "prune_rate {0.prune_rate} is not between 0 and 1 (nor -1)"),
    (lambda o: o.scale_fan and o.prune_rate == 1, "scale_fan with prune_rate 1 divides by zero in the original"),
    (lambda o: o.kept == 0, "prune_rate {0.prune_rate} keeps no weight with {0.conv_type}"),
    (lambda o: o.freeze_weights and o.conv_type not in WITH_SCORES, "freeze_weights leaves {0.conv_type} nothing to train"),
    (
        lambda o: o.score_init_constant is not None and o.conv_type != "SampleSubnetConv",
        "score_init_constant is for SampleSubnetConv, not {0.conv_type}",
    ),
    (lambda o: o.nesterov and o.optimizer == "adam", "nesterov is for optimizer sgd, not adam"),
    (lambda o: o.first_layer_dense and o.first_layer_type != "", "first_layer_dense and first_layer_type: give one of them"),
    (
        lambda o: o.first_layer_type not in ("", "DenseConv", o.conv_type),
        "first_layer_type {0.first_layer_type} cannot stand before {0.conv_type} here, only DenseConv can",
    ),
    (lambda o: o.lr_policy == "multistep_lr" and o.multistep_lr_adjust < 1, "multistep_lr_adjust must be 1 epoch or more"),
)
"""What no run can be made of, and what is said of it."""
