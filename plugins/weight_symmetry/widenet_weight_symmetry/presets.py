"""Named sets of options: the original's training, its schedules and the examples of its prune driver."""

from __future__ import annotations

from typing import Any

Options = dict[str, Any]

STEPPED: Options = {"schedule": "step", "milestones": [50, 70, 90], "factors": [0.01, 0.001, 0.0001]}
"""The original's default schedule: a hundredth of the rate after 50 epochs, a tenth of that after 70 and again after 90."""
ORIGINAL: Options = {
    "epochs": 100,
    "batch_size": 128,
    "optimizer": "adamw",
    "lr": 0.01,
    "weight_decay": 1e-5,
    "eval_every": 10,
}
SCHEDULES: dict[str, Options] = {
    "stepped": {**ORIGINAL, **STEPPED},
    "constant": {**ORIGINAL, "schedule": "constant"},
    "cosine": {**ORIGINAL, "schedule": "cosine"},
    "momentum": {**ORIGINAL, **STEPPED, "optimizer": "sgd", "momentum": 0.9},
}
MODELS: dict[str, Options] = {
    "mnist-fc": {"arch": "mnist-fc", "dataset": "mnist"},
    "mnist-cnn": {"arch": "mnist-cnn", "dataset": "mnist"},
    "cifar10-cnn": {"arch": "cifar10-cnn", "dataset": "cifar10:augment=false"},
}

PRESETS: dict[str, Options] = {
    **SCHEDULES,
    **{name: {**SCHEDULES["stepped"], **options} for name, options in MODELS.items()},
}
"""For every method of this plugin."""
FIXED: dict[str, Options] = {
    **SCHEDULES,
    **{
        f"params-{params:.0e}".replace("+0", ""): {
            **SCHEDULES["stepped"],
            "arch": f"mnist-fc:params={params},depth=3",
            "dataset": "mnist",
        }
        for params in (10**4, 10**5, 10**6)
    },
    "check": {"arch": "mnist-fc:params=4000,depth=2"},
}
PRUNE: dict[str, Options] = {
    **PRESETS,
    "one-shot": {**SCHEDULES["stepped"], **MODELS["mnist-cnn"], "sparsity": 0.95, "prune_after": 0},
    "iterative": {**SCHEDULES["stepped"], **MODELS["mnist-cnn"], "rates": ["2=0.3", "5=0.6", "8=0.95"]},
}
TRAIN: dict[str, Options] = {f"symmetry-{name}": options for name, options in PRESETS.items()}
"""For core's ``train``: the dense networks, trained alike."""
