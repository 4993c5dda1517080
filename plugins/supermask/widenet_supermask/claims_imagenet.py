"""Table 2: supermasks of residual networks on ImageNet, and their small likeness."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from widenet import Claim, Panel, Recipe, Stage
from widenet.recipes import difference
from widenet_supermask.claims_shared import PAPER, QUICK_DENSE, SMALL, SMOKE, TRAINED, Options, Row, accuracies

BASE, DEEPER, WIDER = "base", "deeper", "wider"
NORMAL, CONSTANT = "kaiming_normal", "signed_constant"
KEEP = 0.3
PUBLISHED = {
    NORMAL: {BASE: 0.617, DEEPER: 0.6615, WIDER: 0.679},
    CONSTANT: {BASE: 0.686, DEEPER: 0.723, WIDER: 0.733},
}
"""Of ResNet-50, ResNet-101 and Wide ResNet-50; a trained ResNet-34 has 0.733."""
TRAINED_34 = 0.733


def imagenet(study: Any) -> Iterable[Row]:
    """Accuracy of residual networks of random weights, 30 % of them kept, against depth, width and the weights' distribution.

    The paper takes ResNet-50 (base), ResNet-101 (deeper) and Wide ResNet-50 (wider) on ImageNet, and a trained ResNet-34, which
    has as many weights as the wider one keeps. --scale paper needs ImageNet in --data-dir and seven trainings of a hundred
    epochs, one seed each, which only GPUs do in days. smoke and small: ResNet-20, ResNet-32 and ResNet-20 of twice the width on
    digits (a quarter of the channels, three epochs) and on CIFAR-10 (half, six epochs), beside a trained ResNet-20.
    """
    return accuracies(study)


def _likeness(options: Options, width: float, seeds: Sequence[int]) -> list[Stage]:
    nets = {BASE: f"resnet20:width={width}", DEEPER: f"resnet32:width={width}", WIDER: f"resnet20:width={2 * width}"}
    grid = {"init": [NORMAL, CONSTANT], "seed": seeds}
    masked = {**options, "keep": KEEP}
    stages = [Stage("supermask", {**masked, "arch": arch}, grid, label=label) for label, arch in nets.items()]
    trained = {**options, **QUICK_DENSE, "arch": nets[BASE], "train_norm": True}
    return [*stages, Stage("supermask", trained, {"seed": seeds}, label=TRAINED)]


def _full() -> list[Stage]:
    nets = {BASE: "resnet50", DEEPER: "resnet101", WIDER: "wideresnet50"}
    stages = [
        Stage("supermask", {"keep": KEEP, "preset": f"{name}_{letters}", "dataset": "imagenet"}, {"seed": [0]}, label=label)
        for label, name in nets.items()
        for letters in ("ukn", "usc")
    ]
    trained = {"preset": "resnet50_dense", "arch": "resnet34:affine=true,bias=false", "dataset": "imagenet"}
    return [*stages, Stage("supermask", trained, {"seed": [0]}, label=TRAINED)]


def _claim(text: str, one: Options, other: Options, paper: float, above: float = 0.0) -> Claim:
    return Claim(text, difference("test_accuracy", one, other), "table 2", paper=round(paper, 4), above=above, unit="%")


IMAGENET = Recipe(
    "imagenet",
    imagenet,
    scales={
        "smoke": _likeness(SMOKE, 0.25, [0]),
        "small": _likeness(SMALL, 0.5, range(3)),
        "paper": _full(),
    },
    panels=[
        Panel(
            "label",
            "test_accuracy",
            by="init",
            where={"label": (BASE, DEEPER, WIDER)},
            x_label="network (paper: ResNet-50, -101, Wide -50)",
            y_label="test accuracy",
            percent=True,
            paper=PUBLISHED,
        ),
    ],
    claims=[
        _claim(
            "in the base network, signed constants do better than Kaiming-normal weights",
            {"label": BASE, "init": CONSTANT},
            {"label": BASE, "init": NORMAL},
            PUBLISHED[CONSTANT][BASE] - PUBLISHED[NORMAL][BASE],
        ),
        *(
            _claim(
                f"of signed constants, the {label} network has a better supermask than the base one",
                {"label": label, "init": CONSTANT},
                {"label": BASE, "init": CONSTANT},
                PUBLISHED[CONSTANT][label] - PUBLISHED[CONSTANT][BASE],
            )
            for label in (DEEPER, WIDER)
        ),
        _claim(
            "the wider network's supermask is within a point of a trained network of as many weights",
            {"label": WIDER, "init": CONSTANT},
            {"label": TRAINED},
            PUBLISHED[CONSTANT][WIDER] - TRAINED_34,
            above=-0.01,
        ),
    ],
    source=PAPER,
)
