"""Comparison ``similarity``: how alike the layers of two or more runs are on the same samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from widenet import figures
from widenet.capture import stream
from widenet.errors import UsageError, WnError
from widenet_frivolous.families import check_distinct
from widenet_frivolous.figure import draw_similarity
from widenet_frivolous.layers import studied_layers
from widenet_frivolous.options import Similarity
from widenet_frivolous.redundancy_analysis import check_split
from widenet_frivolous.similarity_measures import (
    Layer,
    best_correlation,
    cca_r2,
    linear_cka,
    nearest_distance,
    projection_residual,
    svcca,
)

Row = dict[str, Any]


def compare(runs: Sequence[Any], nets: Sequence[Any], data: Any, config: Similarity) -> Iterator[Row]:
    """Yield a row for each pair of layers of each pair of runs; the data are the first run's.

    CKA, SVCCA and CCA's R2 are the same both ways; the measures of units are of the first run's units in terms of the other's,
    and the other way under ``_back``. The first run receives ``similarity.png`` and ``.svg``: CKA of its layers with those of
    the second.

    Raises:
        UsageError: a run is named twice, has inputs of another shape, lacks the layers, or no two layers go by one path.
        WnError: a layer's outputs are not finite.
    """
    check_runs(runs)
    check_split(data, config.split)
    layers = [_layers(run, net, data, config) for run, net in zip(runs, nets, strict=True)]
    rows = []
    for (one, its), (other, others) in combinations(zip(runs, layers, strict=True), 2):
        pairs = [(a, b) for a in its for b in others if config.pairs == "all" or a == b]
        if not pairs:
            raise UsageError(f"no layer of {one.name} has the path of one of {other.name}; leave --pairs same out")
        rows += [
            {"run": one.name, "layer": a, "with": other.name, "with_layer": b, **measures(its[a], others[b], config.variance)}
            for a, b in pairs
        ]
    shown = [row for row in rows if (row["run"], row["with"]) == (runs[0].name, runs[1].name)]
    figures.save(draw_similarity(shown), runs[0], "similarity")
    yield from rows


def check_runs(runs: Sequence[Any]) -> None:
    """Refuse runs that cannot be shown the same samples.

    Raises:
        UsageError: a run is named twice, or has inputs of another shape.
    """
    check_distinct(runs)
    for run in runs:
        mine, first = (tuple(each.record["shape"]) for each in (run, runs[0]))
        if mine != first:
            raise UsageError(f"{run.name} takes inputs {mine}, {runs[0].name} {first}; compare runs of the same inputs")


def measures(one: Layer, other: Layer, variance: float) -> Row:
    """All measures of two layers of the same samples; what has no value, as of units that are all dead, is None."""
    row: Row = {
        "samples": len(one.x),
        "units": one.x.shape[1],
        "with_units": other.x.shape[1],
        "dead": int((~one.live).sum()),
        "with_dead": int((~other.live).sum()),
    }
    comparable = bool(one.live.any() and other.live.any())
    row["cka"] = linear_cka(one, other) if comparable else None
    row["svcca"] = svcca(one, other, variance) if comparable else None
    row["cca_r2"] = cca_r2(one, other) if comparable else None
    for suffix, a, b in (("", one, other), ("_back", other, one)):
        row[f"best_correlation{suffix}"] = _mean(best_correlation(a, b)[a.live])
        row[f"projection_residual{suffix}"] = _mean(projection_residual(a, b))
        row[f"nearest_distance{suffix}"] = _mean(nearest_distance(a, b))
    return row


def _layers(run: Any, net: Any, data: Any, config: Similarity) -> dict[str, Layer]:
    """The layers of a run on the samples."""
    split = getattr(data, config.split)
    split = split.part(torch.arange(min(config.samples, len(split))))
    paths = studied_layers(net, split, config.layer)
    blocks: dict[str, list[Tensor]] = {path: [] for path in paths}
    for batch in stream(net, split, paths, config.reduction):
        for path, output in batch.layers.items():
            blocks[path].append(output[:, None] if output.ndim == 1 else output)
    try:
        found = {path: Layer.of(torch.cat(outputs)) for path, outputs in blocks.items()}
    except ValueError as error:
        raise WnError(f"{run.name}: {error}; its layers cannot be compared") from error
    if few := [path for path, layer in found.items() if len(layer.basis) <= 2 * layer.basis.shape[1]]:
        run.say(f"{run.name}: {len(split)} samples are few for {few[0]}; CCA is too high, take more with --samples")
    return found


def _mean(values: Tensor) -> float | None:
    """Mean of the values that are numbers; None without any."""
    defined = values[values.isfinite()]
    return float(defined.mean()) if len(defined) else None
