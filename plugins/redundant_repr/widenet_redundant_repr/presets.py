"""Named sets of options: the training of the study's networks."""

from __future__ import annotations

from typing import Any

Options = dict[str, Any]

CHECKPOINTS = [1, 2, 5, 10, 20, 40, 60, 80, 100, 130, 140, 150, 160, 180]
"""Epochs at which weights are kept, beside the last."""
CIFAR: Options = {
    "epochs": 200,
    "batch_size": 128,
    "optimizer": "sgd",
    "lr": 0.1,
    "final_lr": 1e-5,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "schedule": "cosine",
    "save_at": CHECKPOINTS,
}
"""Training on CIFAR: a cosine from 0.1 to 1e-5 without warm-up, weight decay on batch norm and biases as well."""
DATASETS = {"cifar10": "cifar10:border=reflect", "cifar100": "cifar100:border=reflect"}
WRN = {
    "wrn28_1_inpl4": "wrn28:k=1,stem=4",
    "wrn28_1_inpl8": "wrn28:k=1,stem=8",
    **{f"wrn28_{k}": f"wrn28:k={k}" for k in (1, 2, 4, 8, 10)},
}
"""Widths 16, 32, 64, 128, 256, 512 (the published one) and 640, called as the original calls them."""
DENSENETS = {f"densenet40_{n}": f"densenet40:n={n}" for n in (8, 16, 32, 64, 128, 256)}
"""Widths 44, 88, 176, 352, 704 and 1408."""
TOO_NARROW = ("wrn28_1_inpl4", "wrn28_1_inpl8", "wrn28_1")
"""Wide ResNets that have no more features than CIFAR-100 has classes."""
PARITY_WIDTHS = (16, 32, 64, 128, 256, 512, 1024)


def adam_rate(width: int) -> float:
    """Adam's learning rate for parity networks: ``min(1e-4, (W**2 + 11 W / 4)**(-3/4) / 10)`` of the hidden width W."""
    return min(1e-4, (width**2 + 11 * width / 4) ** -0.75 / 10)


def _cifar(dataset: str) -> dict[str, Options]:
    archs = {name: arch for name, arch in (WRN | DENSENETS).items() if dataset == "cifar10" or name not in TOO_NARROW}
    return {f"{name}-{dataset}": {**CIFAR, "arch": arch, "dataset": DATASETS[dataset]} for name, arch in archs.items()}


GRID = _cifar("cifar10") | _cifar("cifar100")
PUBLISHED = GRID["wrn28_8-cifar10"]

TRAIN: dict[str, Options] = {
    **GRID,
    "wrn28_8-cifar10-smoothed": {**PUBLISHED, "label_smoothing": 0.1},
    "wrn28_8-cifar10-no-decay": {**PUBLISHED, "weight_decay": 0.0},
    "wrn28_8-cifar10-randaugment": {**PUBLISHED, "dataset": "cifar-randaugment"},
    "wrn28_8-cifar10-kernel7": {**PUBLISHED, "arch": "wrn28:k=8,kernel=7"},
    "densenet40_256-cifar10-kernel7": {**GRID["densenet40_256-cifar10"], "arch": "densenet40:n=256,kernel=7"},
}
"""For any method that trains by cross-entropy, core's ``train`` among them."""
PARITY: dict[str, Options] = {
    f"pmnist_{width}": {
        "arch": f"pmnist-fc:width={width}",
        "dataset": "parity",
        "loss": "squared-hinge",
        "epochs": 20_000,
        "batch_size": 256,
        "optimizer": "adam",
        "lr": adam_rate(width),
        "weight_decay": 0.03,
        "schedule": "constant",
        "eval_every": 500,
    }
    for width in PARITY_WIDTHS
}
"""For methods that have an option ``loss``."""
CHECK: dict[str, Options] = {"check": {"arch": "wrn16:k=1"}}
"""What `wn check-plugin` runs, and the help shows."""
