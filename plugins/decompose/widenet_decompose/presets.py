"""The paper's experiments by name."""

from __future__ import annotations

from typing import Any

CHECK = {"finetune": "head", "k": "2"}
"""For ``wn check-plugin``: a run that trains, and so can be killed and resumed."""
DECOMPOSE: dict[str, dict[str, Any]] = {
    # Adam over everything, no decay, no schedule; batch 64, 10 epochs: the first code's defaults, its README's rates.
    "resnet20_cifar10": {"arch": "resnet20", "dataset": "cifar10", "k": "5", "finetune": "all", "lr": 1e-4},
    "resnet50_imagenet": {"arch": "resnet50", "dataset": "imagenet", "k": "50", "finetune": "all", "lr": 1e-6},
    "check": CHECK,
}
GATES: dict[str, dict[str, Any]] = {
    # What the paper's gated checkpoint records: penalty for both of its lambdas; its gates are neither scaled nor clamped.
    "csg_resnet20": {
        "arch": "resnet20",
        "dataset": "cifar10",
        "epochs": 150,
        "lr": 0.0085,
        "weight_decay": 1e-4,
        "schedule": "step",
        "milestones": (100,),
        "gate_warmup": 8,
        "period": 20,
        "penalty": 0.05,
        "normalise": False,
    },
    # The reference code's schedule: ten plain epochs, then two of three with gates.
    "csg": {"optimizer": "adam", "lr": 1e-3, "batch_size": 32, "epochs": 150, "weight_decay": 0.0, "schedule": "step"}
    | {"milestones": (60, 90, 120)},
    "check": {"gate_warmup": 0, "period": 2},
}
SELECTIVITY: dict[str, dict[str, Any]] = {
    # Of the last block of each stage the ReLU after the first convolution.
    "resnet20_cifar10": {"arch": "resnet20", "dataset": "cifar10", "layers": "layer?.2.relu1"},
    "resnet50_imagenet": {"arch": "resnet50", "dataset": "imagenet", "layers": "layer1.2,layer2.3,layer3.5,layer4.2"},
}
