"""Export ``frivolous-csv``: a run's analyses as the original's tables, so that its notebooks read them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, get_args

from widenet_frivolous import csv_redundancy, csv_robustness
from widenet_frivolous.families import options
from widenet_frivolous.options import Initialiser, StudyCsv

QUOTE = "|"
"""The original's quote character."""
KEPT_BY_DROPOUT = 0.5
"""Fraction of the units that the regulariser dropout keeps."""
INITIALISERS = get_args(Initialiser)
"""As the original numbers them."""


def write(run: Any, net: Any, path: Path, config: StudyCsv) -> None:
    """Write one table of the run, from what its analyses ``redundancy`` or ``prunability`` have kept; nothing is measured.

    Raises:
        WnError: the analyses are missing; the message says how to make them.
    """
    table: Any = csv_redundancy if config.table == "redundancy" else csv_robustness
    rows = [{**about(run), **row} for row in table.rows(run)]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, table.COLUMNS, extrasaction="ignore", quotechar=QUOTE, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def about(run: Any) -> dict[str, Any]:
    """What the original's tables say of a network beside its measurements, from a run's record, by column.

    What a run of another method does not have is as in the original's plainest experiment; an initialiser that it does not
    have is its number 0.
    """
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
        "init_type": INITIALISERS.index(init) if (init := values.get("init")) in INITIALISERS else 0,
        "init_factor": values.get("init_factor", 1.0),
        "random_seed": run.seed,
        "multiplier_layer": values.get("width", 1.0),
    }
