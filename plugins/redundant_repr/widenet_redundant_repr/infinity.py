"""The error at infinite width, where something other than the curve itself tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import torch

from widenet import UsageError, opening
from widenet.runs import Run, find
from widenet_redundant_repr.config import Drawing
from widenet_redundant_repr.published import find_set, read_ensemble
from widenet_redundant_repr.seeds import ensemble_error, logits_of

PUBLISHED = "redundant-repr/representations"


@attrs.frozen
class Infinity:
    """A test error (fraction) and where it comes from, in a few words."""

    error: float
    source: str


def error_infinity(run: Any, data: Any, config: Drawing) -> Infinity | None:
    """The error that was given, or the ensemble's, or the one that lies with published representations; None if there is none.

    Raises:
        UsageError: a run of the ensemble is not finished, or is of other data.
    """
    if config.error_infinity is not None:
        return Infinity(config.error_infinity, "given")
    if config.ensemble:
        logits = [_logits(run, path, data) for path in config.ensemble]
        return Infinity(ensemble_error(logits, data.test.labels()), f"an ensemble of {len(logits)} runs")
    entry = run.record["dataset"]
    if entry["name"] == PUBLISHED:
        options = entry["options"]
        found = find_set(Path(options["path"]), options["net"], options["width"], options["label"])
        if (accuracy := read_ensemble(found)) is not None:
            return Infinity(1 - accuracy, "the published ensemble")
    return None


def _logits(run: Any, path: Path, data: Any) -> torch.Tensor:
    """The test logits (N, C) of another run, float32."""
    other = Run.open(find(str(path), run.path.parents[1]))
    opening.check_final(other)
    if other.record["dataset"] != run.record["dataset"]:
        raise UsageError(f"{other.name} is of other data than {run.name}; an ensemble needs runs of the same --dataset")
    net = opening.network(run.registry, other).to(run.device)
    return logits_of(net, data.test)
