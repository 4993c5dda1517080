"""Named sets of options: the original's experiments by number, and one of each family that a desk can run."""

from __future__ import annotations

from typing import Any

from widenet_frivolous.experiments import on_cifar
from widenet_frivolous.recipes import recipe

Options = dict[str, Any]

NUMBERED: dict[str, Options] = {f"id-{made.number}": recipe(made) for made in on_cifar()}
"""The other 3,000 numbers, small networks, would slow down every listing; :mod:`.as_toml` writes them as files."""
SMALL: dict[str, Options] = {
    "desk": {"arch": "alexnet-cifar:width=0.25", "dataset": "digits", "epochs": 10},
    "desk-mlp": {"arch": "mlp1:width=4", "dataset": "gaussian-teacher", "epochs": 50, "select": "val", "val": 0.2},
    "desk-resnet": {"arch": "resnet56-cifar:width=0.25", "dataset": "digits", "epochs": 10, "lr": 0.1},
}
CHECK: dict[str, Options] = {"check": {"arch": "alexnet-cifar:width=0.1"}}
"""What ``wn check-plugin`` runs, and the help shows."""
PRESETS = {**SMALL, **NUMBERED, **CHECK}
