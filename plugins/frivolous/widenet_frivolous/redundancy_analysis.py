"""Analysis ``redundancy``: how many of a layer's units, or directions, the others could stand for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from widenet import figures
from widenet.errors import UsageError
from widenet_frivolous.figure import draw_redundancy
from widenet_frivolous.gathering import LOGITS, gather
from widenet_frivolous.labels import studied
from widenet_frivolous.layers import studied_layers
from widenet_frivolous.options import Redundancy
from widenet_frivolous.redundancy_rows import Arrays, Row, measured

FEW = 5
"""Rows a unit, below which it is said that correlations are those of few samples."""


def study(run: Any, net: Any, data: Any, config: Redundancy) -> Iterator[Row]:
    """Yield a row a layer, from one pass over the split; the logits have arrays, but no row.

    Beside the table ``run`` receives ``redundancy.png`` and ``.svg``, and ``arrays/redundancy.h5`` with for each layer
    ``similar`` (T, N), ``histogram``, ``eigenvalues`` of either matrix, ``predictability``, ``selectivity``, ``class_means``
    and what goes with them.

    Raises:
        UsageError: no such layer or split, or only one sample.
        WnError: a layer's outputs are not finite.
    """
    found = measure_layers(run, net, data, config)
    for layer, (row, _) in found.items():
        if layer != LOGITS:
            _remark(run, layer, row)
    arrays = {f"{layer}/{name}": values for layer, (_, kept) in found.items() for name, values in kept.items()}
    run.save_arrays("redundancy", arrays)
    hidden = {layer: each for layer, each in found.items() if layer != LOGITS}
    drawn = draw_redundancy({layer: kept for layer, (_, kept) in hidden.items()}, f"{run.name}: {config.split} samples")
    figures.save(drawn, run, "redundancy")
    yield from ({"layer": layer, "split": config.split, **row} for layer, (row, _) in hidden.items())


def measure_layers(run: Any, net: Any, data: Any, config: Redundancy) -> dict[str, tuple[Row, Arrays]]:
    """The row and the arrays of each layer, and of the logits under LOGITS, from one pass; nothing is written.

    Raises:
        UsageError: as :func:`study`.
        WnError: a layer's outputs are not finite.
    """
    check_split(data, config.split)
    data = studied(data, run)
    layers = studied_layers(net, getattr(data, config.split), config.layer)
    gathered = gather(run, net, data, layers, config)
    found = {layer: measured(each, config) for layer, each in gathered.items()}
    found[LOGITS][1]["accuracy"] = torch.tensor(gathered[LOGITS].right / len(getattr(data, config.split)))
    return found


def check_split(data: Any, name: str) -> None:
    """Refuse a split of which no correlation can be told.

    Raises:
        UsageError: there is none of that name, or it has fewer than two samples.
    """
    split = getattr(data, name)
    if split is None:
        raise UsageError(f"{data.name} has no split {name}; choose train or test")
    if len(split) < 2:
        raise UsageError(f"{name} of {data.name} has {len(split)} sample; correlations of units need two or more")


def _remark(run: Any, layer: str, row: Row) -> None:
    """Say what a reader of the row should know."""
    live = row["units"] - row["dead"]
    if not live:
        run.say(f"{layer}: all {row['units']} units are constant; nothing can be said of their similarity")
    elif row["rows"] <= live + 1:
        run.say(f"{layer}: {row['rows']} rows of {live} units, so any unit is predictable; more samples are needed")
    elif row["rows"] < FEW * live:
        run.say(f"{layer}: {row['rows']} rows of {live} units are few; correlations and predictability are too high")
