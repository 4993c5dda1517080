"""Named sets of options."""

from __future__ import annotations

PAPER = {
    "epochs": 100,
    "batch_size": 128,
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "schedule": "cosine",
    "init": "signed_constant",
}
"""The recipe for CIFAR-10 in the paper's code."""

PRESETS = {"paper": PAPER}
