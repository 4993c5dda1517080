"""Recipes for ``wn reproduce``: accuracy by the number of units a class. The others are in :mod:`.claims_gates`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

from widenet import Claim, Panel, Recipe, Stage
from widenet.recipes import SCALES, difference
from widenet_decompose.claims_stages import NAMES, PAPER, plain

SIZES = "1,2,3,5,8,10,15,20,30,64"
"""Units of each class; the last is all of them."""
FINETUNE = {
    "smoke": {"finetune": "head", "lr": 1e-3, "epochs": 10},
    "small": {"finetune": "head", "lr": 1e-3, "epochs": 30},
    "paper": {"finetune": "all", "lr": 1e-4, "epochs": 10},
}
FULL, FOUND, TUNED = ({"units": name} for name in ("full layer", "most frequent", "fine-tuned"))
README = "authors' README"
OURS = "not in the paper; from its network"


def accuracy_by_k(study: Any) -> Iterator[dict[str, Any]]:
    """Accuracy of a final layer whose classes see only their k most frequent units, and after training it.

    Largest weights, which need no data, and random sets stand beside it: the paper has neither. It took one published ResNet-20
    of CIFAR-10 (91.71 %) and trained all of it with the decomposed layer; small scale trains its own for 15 epochs, and then
    the layer alone, which recovers as much. Its tables for ImageNet could not be had, and are not here.
    """
    for trial in study.trials:
        if trial.values["label"] == "fine-tuned":
            full, accuracy = trial.result["full_accuracy"], trial.result["test_accuracy"]
            about = {"seed": trial.values["seed"], **TUNED, "k": trial.result["k"]}
            yield {**about, "accuracy": accuracy, "lost": full - accuracy}
    for trial in study.trials:
        if trial.values["label"] == "decomposed":
            for row in _curves(trial.run.path / "decompose.csv"):
                yield {"seed": trial.values["seed"], **row}


def _curves(path: Any) -> Iterator[dict[str, Any]]:
    """The table that ``decompose`` leaves, with what each set loses of the full layer's accuracy."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    full = float(next(row["accuracy"] for row in rows if row["score"] == "full"))
    names = {**NAMES, "full": FULL["units"]}
    for row in rows:
        accuracy = float(row["accuracy"])
        yield {"units": names[row["score"]], "k": int(row["k"]), "accuracy": accuracy, "lost": full - accuracy}


def _stages(scale: str) -> list[Stage]:
    network = plain(scale)
    curves = Stage("decompose", {"k": SIZES, "score": "frequency,weight,random"}, label="decomposed", after=network)
    return [network, curves, Stage("decompose", {"k": "5", **FINETUNE[scale]}, label="fine-tuned", after=network)]


def _panel(
    y: str, label: str, units: tuple[str, ...], paper: dict[str, dict[int, float]], sizes: tuple[int, ...] = ()
) -> Panel:
    where = {"units": units, **({"k": sizes} if sizes else {})}
    x_label = "units of each class"
    return Panel("k", y, "units", where, x_label=x_label, y_label=label, log_x=True, percent=True, paper=paper)


ACCURACY_BY_K = Recipe(
    "accuracy-by-k",
    accuracy_by_k,
    scales={scale: _stages(scale) for scale in SCALES},
    panels=[
        _panel(
            *("accuracy", "test accuracy", ("most frequent", "largest weights", "fine-tuned", "random")),
            {"most frequent": {5: 0.8859, 64: 0.9171}, "fine-tuned": {5: 0.916}},
        ),
        _panel(
            *("lost", "test accuracy lost", ("most frequent", "largest weights", "fine-tuned")),
            {"most frequent": {5: 0.0312}, "fine-tuned": {5: 0.0011}},
            sizes=(5, 8, 10, 15, 20, 30),
        ),
    ],
    claims=[
        Claim(
            "Five units a class are nearly enough: accuracy, less the full layer's",
            difference("accuracy", {**FOUND, "k": 5}, FULL),
            *(README, -0.0312),
            above=-0.05,
            unit="%",
        ),
        Claim(
            "Training gives back what they lose: the same after it",
            difference("accuracy", TUNED, FULL),
            *(README, -0.0011),
            above=-0.01,
            unit="%",
        ),
        Claim(
            "They are the class's own: accuracy, less that of random ones",
            difference("accuracy", {**FOUND, "k": 5}, {"units": "random", "k": 5}),
            *(OURS, 0.5575),
            above=0.0,
            unit="%",
        ),
        Claim(
            "It takes images to find them: accuracy, less that of largest weights",
            difference("accuracy", {**FOUND, "k": 5}, {"units": "largest weights", "k": 5}),
            *(OURS, -0.0069),
            above=0.0,
            unit="%",
        ),
    ],
    source=PAPER,
)
