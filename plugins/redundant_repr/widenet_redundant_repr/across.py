"""Bias and variance over runs that differ in their seed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from statistics import mean, stdev
from typing import Any

from widenet import UsageError
from widenet.options import spec
from widenet_redundant_repr.seeds import bias_variance, ensemble_error, logits_of


def across(runs: Sequence[Any], nets: Sequence[Any], data: Any) -> Iterator[dict[str, Any]]:
    """Yield a row for all runs of one kind, that is of the same method, architecture and options.

    It has the squared error of their softmax outputs on the test samples with its bias and variance over seeds, the mean errors
    of the runs (of the test error the deviation too, n - 1), and that of their ensemble (summed logits).

    Raises:
        UsageError: the runs are of different data, or there is only one of a kind.
    """
    if len({run.path.resolve() for run in runs}) < len(runs):
        raise UsageError("a run is named twice; name runs of different seeds")
    kinds: dict[str, list[int]] = {}
    for number, run in enumerate(runs):
        if run.record["dataset"] != runs[0].record["dataset"]:
            raise UsageError(f"{run.name} is of other data than {runs[0].name}; compare runs of the same --dataset")
        kinds.setdefault(_kind(run), []).append(number)
    for members in kinds.values():
        run = runs[members[0]]
        if len(members) < 2:
            raise UsageError(
                f"{run.name} is the only run of its kind here; name runs of other seeds too (--repeats makes them)"
            )
        logits, labels = [logits_of(nets[number], data.test) for number in members], data.test.labels()
        found = bias_variance(logits, labels)
        test = [ensemble_error([each], labels) for each in logits]
        # Of the first run only the training samples are at hand; others may have set theirs apart differently.
        alike = not any(runs[number].option(name) for number in members for name in ("per_class", "val"))
        train = [ensemble_error([logits_of(nets[number], data.train)], data.train.labels()) for number in members if alike]
        yield {
            "run": run.path.parent.name,
            "arch": spec(run.record["arch"]),
            "parameters": run.record.get("parameters"),
            "seeds": len(members),
            "train_error": mean(train) if train else None,
            "test_error": mean(test),
            "test_error_deviation": stdev(test),
            "ensemble_error": ensemble_error(logits, labels),
            "loss": found.loss,
            "bias2": found.bias2,
            "variance": found.variance,
        }


def _kind(run: Any) -> str:
    """What runs that differ in their seed alone have in common."""
    return json.dumps([run.record["component"], run.record["arch"], run.path.parent.name])
