"""What the original's tables say of a network beside its measurements, from a run's record."""

from __future__ import annotations

from typing import Any, get_args

from widenet_frivolous.families import options
from widenet_frivolous.names import Initialiser

KEPT_BY_DROPOUT = 0.5
"""Fraction of the units that the regulariser dropout keeps."""


def about(run: Any) -> dict[str, Any]:
    """The original's columns, by name; what a run of another method does not have is as in its plainest experiment."""
    values = options(run)
    regulariser = values.get("regulariser", "none")
    decayed = regulariser in ("weight-decay", "all")
    dropped = KEPT_BY_DROPOUT if regulariser in ("dropout", "all") else values.get("dropout") or 0.0
    number = values.get("experiment")
    return {
        "model_name": run.path.parent.name if number is None else f"ID{number}_{run.path.parent.name}",
        "training_dropout": 1 - dropped,  # the probability that a unit is kept
        "training_weight_decay": values["fc_decay"] if decayed else values.get("weight_decay", 0.0),
        "training_data_augmentation": regulariser in ("augment", "all") or bool(values.get("augment", False)),
        "training_amount_data": 1 - (values.get("val") or 0.0),
        "random_labels": values.get("labels", "true") == "random",
        "scramble_image": False,
        "init_type": initialiser_number(values.get("init")),
        "init_factor": values.get("init_factor", 1.0),
        "random_seed": run.seed,
        "multiplier_layer": values.get("width", 1.0),
    }


def initialiser_number(name: Any) -> int:
    """The original's number of an initialiser; 0 of any other, as there."""
    known = get_args(Initialiser)
    return known.index(name) if name in known else 0
