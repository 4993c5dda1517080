"""Accuracies of decomposed layers, measured, written as tables, drawn and said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np

from widenet import figures
from widenet.capture import Captured, ReadOut
from widenet.files import write_csv
from widenet_decompose import figure
from widenet_decompose.accuracy import Measured, measure
from widenet_decompose.choice import Choice
from widenet_decompose.features import ROWS
from widenet_decompose.layer import accuracy_by_k

SAID = 12
"""Sizes up to which each has a line of its own."""


@attrs.frozen(eq=False)
class Accuracies:
    """Of the full layer, by score and size of decomposed ones, and by size of random sets (draws,)."""

    scores: list[str]
    full: Measured
    found: dict[tuple[str, str], Measured]
    random: dict[str, np.ndarray]

    def at(self, size: str) -> dict[str, float]:
        """Accuracies at a size by score; that of the first, which the network gets, is called ``decomposed_accuracy``."""
        beside = {score: self.found[score, size].accuracy for score in self.scores[1:] if score != "random"}
        beside |= {"random": float(self.random[size].mean())} if self.random else {}
        first = self.found[self.scores[0], size].accuracy
        return {"decomposed_accuracy": first, **{f"{score.replace('-', '_')}_accuracy": beside[score] for score in beside}}

    def rows(self) -> list[dict[str, Any]]:
        """A row a score and size; random sets have the mean, and the deviation over draws."""
        return [
            *(
                _row(score, k, each.accuracy, None, each.agreement)
                for (score, k), each in self.found.items()
                if score != "random"
            ),
            *(_row("random", k, float(each.mean()), _deviation(each), None) for k, each in self.random.items()),
        ]


def measured(choice: Choice, test: Captured, head: ReadOut, draws: int, device: Any) -> Accuracies:
    """Hold all filters against the test samples: one pass over what the read-out is given."""
    masks = {key: filters.mask for key, filters in choice.filters.items()}
    found = measure(test.batches(head.layer, ROWS), head.weight, head.bias, masks, device)
    full = found.pop(None)
    return Accuracies(choice.scores, full, found, _random(choice, test, head, draws) if "random" in choice.scores else {})


def _random(choice: Choice, test: Captured, head: ReadOut, draws: int) -> dict[str, np.ndarray]:
    """Accuracy of random sets of each size, (draws,); those of one draw are nested."""
    features, labels = test.features(head.layer), test.labels
    sizes = [int(size) for score, size in choice.filters if score == "random"]
    rankings = [choice.source.random(draw)[:, : max(sizes)] for draw in range(draws)]
    curves = [accuracy_by_k(features, labels, head.weight, head.bias, ranking) for ranking in rankings]
    return {str(k): np.array([float(curve[k - 1]) for curve in curves]) for k in sizes}


def write(run: Any, accuracies: Accuracies, head: ReadOut) -> None:
    """Write ``decompose.csv`` and ``classes.csv``, draw them, and say the numbers of a few sizes."""
    units, rows, full = head.weight.shape[1], accuracies.rows(), accuracies.full
    write_csv(run.out / "decompose.csv", [_row("full", str(units), full.accuracy, None, 1.0), *rows])
    by_class = {("full", str(units)): full, **accuracies.found}
    write_csv(run.out / "classes.csv", [row for key, found in by_class.items() for row in _by_class(*key, found)])
    points = {
        score: [(int(row["k"]), row["accuracy"], row["deviation"] or 0.0) for row in rows if row["score"] == score]
        for score in dict.fromkeys(row["score"] for row in rows)
    }
    drawn = figure.accuracy_by_k(full.accuracy, points, units, f"{run.name}, {head.layer}")
    figures.save(drawn, run, "accuracy-by-k")
    sizes = dict.fromkeys(row["k"] for row in rows)
    for size in sizes if len(sizes) <= SAID else ():
        here = ", ".join(f"{row['score']} {row['accuracy']:.2%}" for row in rows if row["k"] == size)
        run.say(f"{size} of {units} units a class: {here} of {full.accuracy:.2%}")


def _row(score: str, k: str, accuracy: float, deviation: float | None, agreement: float | None) -> dict[str, Any]:
    return {"score": score, "k": k, "accuracy": accuracy, "deviation": deviation, "agreement": agreement}


def _by_class(score: str, k: str, found: Measured) -> Iterator[dict[str, Any]]:
    for number, (samples, right) in enumerate(zip(found.samples.tolist(), found.right.tolist(), strict=True)):
        yield {"score": score, "k": k, "class": number, "samples": samples, "right": right} | _share(right, samples)


def _share(right: int, samples: int) -> dict[str, float | None]:
    return {"accuracy": right / samples if samples else None}


def _deviation(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
