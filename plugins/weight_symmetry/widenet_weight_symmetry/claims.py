"""The research code's question, whether the symmetry that masks leave matters for training, as a recipe."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from widenet import Claim, Panel, Recipe, Stage
from widenet.recipes import Measure, difference, value
from widenet_weight_symmetry.summary import last, log10_permutations

Options = Mapping[str, Any]
Row = dict[str, Any]

TYPES = ("symmetric", "random", "per-neuron", "per-neuron-no-input-ablation")
DENSE, COPIES = "dense", "six layers of 16"
SIX = "mnist-fc:hidden=16,16,16,16,16,16"
README = "first README of the code"
ALL_COPIES = 6 * math.lgamma(17) / math.log(10)
"""log10 of (16!)^6, which the README gives as the number of atoms in the observable universe."""


def symmetry_vs_sparsity(study: Any) -> Iterable[Row]:
    """Symmetry left, accuracy and gradient norm against sparsity, by the type of the masks.

    No paper reports the code's experiments; its claims are a count and a hypothesis: sparse networks are hard to train from
    scratch because a mask leaves few symmetric copies of a solution. Here the fully connected network of 32-32 units is trained
    under random masks that keep much symmetry (symmetric) or hardly any, on MNIST with the code's hundred epochs. small: ten
    epochs, a cosine schedule. Symmetric masks also pass few inputs, so a difference in accuracy need not come from symmetry.
    """
    rows = [_row(trial) for trial in study.trials]
    whole = max((row["log10_permutations"] or 0.0 for row in rows if row["label"] == DENSE), default=0.0)
    for row in rows:
        left = row["log10_permutations"]
        comparable = whole and left is not None and row["label"] != COPIES
        yield {**row, "symmetry_left": left / whole if comparable else None}


def _row(trial: Any) -> Row:
    """A run: its masks as they were asked for and as propagated, and how training went."""
    label, lines = trial.values["label"], trial.run.metrics()
    norms = [line.get("cumulative_gradient_norm") for line in lines]
    return {
        "label": label if label in (DENSE, COPIES) else trial.run.option("mask_type"),
        "sparsity": trial.run.option("sparsity"),
        "propagated_sparsity": trial.result["sparsity"],
        "seed": trial.run.seed,
        "log10_permutations": log10_permutations(trial.run, last(lines)),
        "unique_neurons": trial.result["unique_neurons"],
        "test_accuracy": trial.result["test_accuracy"],
        "cumulative_gradient_norm": next((norm for norm in reversed(norms) if norm is not None), None),
    }


def rank_correlation(x: str, y: str, labels: Sequence[str]) -> Measure:
    """A measure: Spearman's correlation of two columns over the rows of these labels that have both, seed by seed."""

    def measure(rows: Sequence[Mapping[str, Any]]) -> list[float]:
        from scipy.stats import spearmanr

        pairs: dict[Any, list[tuple[float, float]]] = {}
        for row in rows:
            if row["label"] in labels and row[x] is not None and row[y] is not None:
                pairs.setdefault(row["seed"], []).append((row[x], row[y]))
        able = [found for found in pairs.values() if all(len(set(column)) > 1 for column in zip(*found, strict=True))]
        return [float(spearmanr(*zip(*found, strict=True)).statistic) for found in able]

    return measure


def _stages(
    options: Options, types: Sequence[str], sparsity: Sequence[float], seeds: Sequence[int], arch: str = "mnist-fc"
) -> list[Stage]:
    unmasked = {**options, "sparsity": 0.0}
    masked: dict[str, Sequence[Any]] = {"mask_type": types, "sparsity": sparsity, "seed": seeds}
    return [
        Stage("shuffled-mask", {**options, "arch": arch}, masked, label="masked"),
        Stage("shuffled-mask", {**unmasked, "arch": arch}, {"seed": seeds}, label=DENSE),
        Stage("shuffled-mask", {**unmasked, "arch": SIX, "epochs": 1}, {"seed": [0]}, label=COPIES),
    ]


def _panel(y: str, label: str, **more: Any) -> Panel:
    return Panel("sparsity", y, where={"label": (*TYPES, DENSE)}, x_label="sparsity (fraction removed)", y_label=label, **more)


SYMMETRY = Recipe(
    "symmetry-vs-sparsity",
    symmetry_vs_sparsity,
    scales={
        "smoke": _stages({"dataset": "digits", "epochs": 3}, TYPES[:2], [0.5, 0.9], [0]),
        "small": _stages({"dataset": "mnist", "epochs": 10}, TYPES, [0.5, 0.8, 0.9, 0.95, 0.98], range(3)),
        "paper": _stages({"preset": "mnist-fc"}, TYPES, [0.5, 0.8, 0.9, 0.95, 0.98], range(5)),
    },
    panels=[
        _panel("log10_permutations", "log10 of permutations"),
        _panel("test_accuracy", "test accuracy", percent=True),
        _panel("cumulative_gradient_norm", "cumulative gradient norm"),
    ],
    claims=[
        Claim(
            "six dense layers of 16 units have (16!)^6 = 8.4e79 copies of every solution (log10)",
            value("log10_permutations", label=COPIES),
            README,
            paper=round(ALL_COPIES, 2),
            above=ALL_COPIES - 1e-6,
            below=ALL_COPIES + 1e-6,
        ),
        Claim(
            "a random mask of sparsity 0.9 leaves less than a twentieth of the dense network's symmetry (in log10)",
            value("symmetry_left", label="random", sparsity=0.9),
            README,
            paper="most is gone",
            below=0.05,
            unit="%",
        ),
        Claim(
            "at sparsity 0.9, masks that keep symmetry train better than random ones",
            difference("test_accuracy", {"label": "symmetric", "sparsity": 0.9}, {"label": "random", "sparsity": 0.9}),
            README,
            paper="hypothesis",
            above=0.0,
            unit="%",
        ),
        Claim(
            "the more symmetry a mask leaves, the better it trains (rank correlation over all masks)",
            rank_correlation("log10_permutations", "test_accuracy", TYPES),
            README,
            paper="hypothesis",
            above=0.0,
        ),
    ],
    source='Ioannou, research code "Weight Symmetry", 2020',
)
