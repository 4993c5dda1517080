"""The original's table of robustness, from a run's kept ablation curves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from widenet.errors import WnError
from widenet_frivolous.kept_analyses import Kept, kept_analyses

COLUMNS = (
    *("model_name", "cross_validation", "evaluation_set", "perturbation_layer", "perturbation_name", "perturbation_amount"),
    *("training_dropout", "training_weight_decay", "training_data_augmentation", "init_type", "training_amount_data"),
    *("random_labels", "scramble_image", "multiplier_layer", "performance"),
)
NAMES = {
    "random-zero": "Activation Knockout",
    "--noise": "Activation Noise",
    "cluster-zero": "Activation Knockout Selected",
}
"""The original's names of curves, by ``<order>-<perturbation>``; noise has no order."""
SETS = ("train", "test")

Row = dict[str, Any]


def rows(run: Any) -> Iterator[Row]:
    """Rows of every level, layer and draw of the newest analyses of each split, draws being the original's crosses.

    As in the original the logits are the last layer, with 0 throughout.

    Raises:
        WnError: no curve is kept that the original has.
    """
    found = {name: kept for name in SETS if (kept := _newest(run, name)) is not None}
    if not found:
        raise WnError(
            f"{run.name} has no ablation curves; make them first: wn analyze prunability {run.path} --order random,cluster "
            "--perturb zero,noise, and the same with --split train"
        )
    for name, kept in found.items():
        yield from ({"evaluation_set": name, **row} for row in _rows(kept))


def _newest(run: Any, split: str) -> Kept | None:
    """The newest analysis of a split with random orders of all layers, at levels that are the same for all."""
    for kept in kept_analyses(run, "prunability"):
        options = kept.options
        plain = not options["adaptive"] and not options["layer"] and options["targets"] == "both"
        if options["split"] == split and plain and "random" in options["order"] and "zero" in options["perturb"]:
            return kept
    return None


def _rows(kept: Kept) -> Iterator[Row]:
    arrays = kept.arrays("prunability")
    levels = sorted({0.0, *kept.options["levels"]})
    targets = list(dict.fromkeys(row["layer"] for row in kept.rows if row["what"] == "curve"))
    numbers: dict[str, int | str] = {target: number for number, target in enumerate(t for t in targets if t != "all")}
    last = len(numbers)
    numbers["all"] = "all"
    alone = next(iter(numbers))  # of a network of one layer, all layers are that one
    for curve, name in NAMES.items():
        for draw in range(kept.options["draws"]):
            for target, number in numbers.items():
                found = arrays.get(f"{target}/{curve}/{draw}/agreement", arrays.get(f"{alone}/{curve}/{draw}/agreement"))
                if found is None:
                    break
                head = {"cross_validation": draw, "perturbation_name": name}
                if target == "all":
                    yield from _curve({**head, "perturbation_layer": last}, levels, [0.0] * len(levels))
                yield from _curve({**head, "perturbation_layer": number}, levels, found.tolist())


def _curve(head: Row, levels: list[float], values: list[float]) -> Iterator[Row]:
    for level, value in zip(levels, values, strict=True):
        yield {**head, "perturbation_amount": level, "performance": value}
