"""What the paper's recipes have in common: the paper, options of each scale, and the rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Options = Mapping[str, Any]
Row = dict[str, Any]

PAPER = 'Ramanujan et al., "What\'s hidden in a randomly weighted neural network?", CVPR 2020'
SMOKE: Options = {"dataset": "digits", "epochs": 3}
"""A few steps with the plugin's own rates."""
SMALL: Options = {"dataset": "cifar10", "epochs": 6, "weight_decay": 1e-4}
FULL: Options = {"preset": "paper", "dataset": "cifar10"}
"""The paper's training on CIFAR-10."""
SEEDS = range(5)
"""Of the paper's experiments on CIFAR-10."""
DENSE: Options = {"variant": "dense", "init": "kaiming_normal"}
FULL_DENSE: Options = {**FULL, **DENSE, "lr": 0.01}
QUICK_DENSE: Options = {**DENSE, "optimizer": "adam", "lr": 0.002, "weight_decay": 0.0}
"""Adam gets further in the few epochs of the smaller scales."""
SUPERMASK, TRAINED = "supermask", "weights trained"
"""Names of lines."""


def fractions(*tenths: int) -> list[float]:
    """Fractions kept, of tenths."""
    return [number / 10 for number in tenths]


def accuracies(study: Any) -> Iterator[Row]:
    """A row a run: what was masked how, and its accuracies; ``kept_weights`` is a number, of masks found by ranking scores."""
    for trial in study.trials:
        record, result = trial.run.record, trial.result
        name, kept = record["arch"]["name"].rpartition("/")[2], result.get("kept")
        masked = trial.run.option("variant") not in ("dense", "sample")
        yield {
            "label": trial.values["label"],
            "network": name,
            "width": record["arch"]["options"].get("width", 1.0),
            "keep": trial.run.option("keep") if masked else None,
            "init": trial.run.option("init"),
            "seed": trial.run.seed,
            "test_accuracy": result["test_accuracy"],
            "random_mask_accuracy": result.get("random_mask_accuracy"),
            "kept_weights": None if kept is None else round(kept * record["parameters"]),
        }


def with_gaps(rows: Iterable[Row], *alike: str) -> list[Row]:
    """The rows, those of masks with ``gap``: what training the weights of the network ``alike`` in these columns has more."""
    rows = list(rows)
    trained = {tuple(row[key] for key in alike): row["test_accuracy"] for row in rows if row["label"] == TRAINED}
    for row in rows:
        other = trained.get(tuple(row[key] for key in alike))
        row["gap"] = None if row["label"] == TRAINED or other is None else other - row["test_accuracy"]
    return rows


def with_peaks(rows: Iterable[Row], *alike: str) -> list[Row]:
    """The rows with ``peak``: whether theirs is the fraction kept of the best mean accuracy among rows ``alike``."""
    rows = list(rows)
    found: dict[tuple[Any, ...], dict[Any, list[float]]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in alike), {}).setdefault(row["keep"], []).append(row["test_accuracy"])
    best = {group: max(keeps, key=lambda keep: _mean(keeps[keep])) for group, keeps in found.items()}
    return [{**row, "peak": row["keep"] == best[tuple(row[key] for key in alike)]} for row in rows]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
