"""Curves as rows of a table and as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from widenet_frivolous.curve_config import Prunability
from widenet_frivolous.curves import area, spread, threshold
from widenet_frivolous.layers_chosen import Layer
from widenet_frivolous.lines import Line


def grouped(lines: Sequence[Line]) -> list[list[Line]]:
    """The draws of each curve together."""
    groups: dict[tuple[str, str, str], list[Line]] = {}
    for line in lines:
        groups.setdefault(line.group, []).append(line)
    return list(groups.values())


def _named(group: Sequence[Line], what: str) -> dict[str, Any]:
    line = group[0]
    units = sum(line.sizes.values())
    return {"what": what, "layer": line.target, "units": units, "order": line.order, "perturb": line.perturb}


def curve_rows(group: Sequence[Line], config: Prunability) -> list[dict[str, Any]]:
    """A row a level that every draw was measured at: mean over draws, and of the agreement its spread."""
    rows = []
    for level in sorted({0.0, *set.intersection(*(line.asked for line in group))}):
        values = [line.value(level) for line in group]
        of = spread([agreement for agreement, _, _ in values], _pair(config))
        row = _named(group, "curve") | {"level": level, "ablated": group[0].ablated(level), "agreement": of.pop("mean"), **of}
        row["accuracy"] = sum(accuracy for _, accuracy, _ in values) / len(values)
        row["kl"] = sum(divergence for _, _, divergence in values) / len(values)
        rows.append(row | {"draws": len(group)})
    return rows


def threshold_values(group: Sequence[Line], config: Prunability) -> list[float]:
    """The threshold of each draw."""
    return [threshold(*line.curve(config.metric), config.at) for line in group]


def threshold_row(group: Sequence[Line], config: Prunability) -> dict[str, Any]:
    """The fraction of units at which a curve falls below ``at``: mean and spread over draws; and the area under it."""
    of = spread(threshold_values(group, config), _pair(config))
    under = sum(area(*line.curve(config.metric)) for line in group) / len(group)
    row = _named(group, "threshold") | {"at": config.at, "threshold": of.pop("mean"), **of}
    return row | {"area": under, "draws": len(group)}


def single_row(layer: str, units: int, agreement: Sequence[float]) -> dict[str, Any]:
    """Agreement with units ablated one by one: mean, deviation, and of the unit that is missed most."""
    of = spread(agreement, (0.0, 1.0))
    row = {"what": "single", "layer": layer, "units": units, "order": "single", "perturb": "zero", "ablated": 1}
    return row | {"agreement": of["mean"], "sd": of["sd"], "low": of["low"], "high": of["high"]}


def arrays(lines: Sequence[Line], singles: Sequence[tuple[Layer, Sequence[float]]]) -> dict[str, np.ndarray]:
    """The points of each draw: ``<layer>/<order>-<perturbation>/<draw>/fraction``, ``agreement``, ``accuracy``, ``kl``.

    Orders of a layer's units are beside them, and of units ablated alone ``<layer>/single`` (units,).
    """
    made: dict[str, Any] = {}
    for line in lines:
        name = f"{line.target}/{line.order}-{line.perturb}/{line.draw}"
        levels = sorted({0.0, *line.asked})
        made[f"{name}/fraction"] = np.array([line.fraction(level) for level in levels])
        for place, metric in enumerate(("agreement", "accuracy", "kl")):
            made[f"{name}/{metric}"] = np.array([line.value(level)[place] for level in levels])
        if line.target in line.orders:
            made[f"{name}/order"] = line.orders[line.target].numpy()
    return made | {f"{layer.name}/single": np.array(agreement) for layer, agreement in singles}


def _pair(config: Prunability) -> tuple[float, float]:
    return config.quantiles[0], config.quantiles[1]
