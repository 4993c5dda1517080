"""Curves as rows of a table and as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from widenet_frivolous.ablation_curve import Curve
from widenet_frivolous.curves import area, spread, threshold
from widenet_frivolous.layers import Layer
from widenet_frivolous.options import Prunability


def grouped(curves: Sequence[Curve]) -> list[list[Curve]]:
    """The draws of each curve together."""
    groups: dict[tuple[str, str, str], list[Curve]] = {}
    for curve in curves:
        groups.setdefault(curve.group, []).append(curve)
    return list(groups.values())


def _named(group: Sequence[Curve], what: str) -> dict[str, Any]:
    curve = group[0]
    units = sum(curve.sizes.values())
    return {"what": what, "layer": curve.target, "units": units, "order": curve.order, "perturb": curve.perturb}


def curve_rows(group: Sequence[Curve], config: Prunability) -> list[dict[str, Any]]:
    """A row a level that every draw was measured at: mean over draws, and of the agreement its spread."""
    rows = []
    for level in sorted(set.intersection(*(set(curve.levels) for curve in group))):
        values = [curve.value(level) for curve in group]
        of = spread([agreement for agreement, _, _ in values], config.quantiles)
        row = _named(group, "curve") | {"level": level, "ablated": group[0].ablated(level), "agreement": of.pop("mean"), **of}
        row["accuracy"] = sum(accuracy for _, accuracy, _ in values) / len(values)
        row["kl"] = sum(divergence for _, _, divergence in values) / len(values)
        rows.append(row | {"draws": len(group)})
    return rows


def threshold_values(group: Sequence[Curve], config: Prunability) -> list[float]:
    """The threshold of each draw."""
    return [threshold(*curve.over_fractions(config.metric), config.at) for curve in group]


def threshold_row(group: Sequence[Curve], config: Prunability) -> dict[str, Any]:
    """The fraction of units at which a curve falls below ``at``: mean and spread over draws; and the area under it."""
    of = spread(threshold_values(group, config), config.quantiles)
    under = sum(area(*curve.over_fractions(config.metric)) for curve in group) / len(group)
    row = _named(group, "threshold") | {"at": config.at, "threshold": of.pop("mean"), **of}
    return row | {"area": under, "draws": len(group)}


def single_row(layer: str, units: int, agreement: Sequence[float]) -> dict[str, Any]:
    """Agreement with units ablated one by one: mean, deviation, and of the unit that is missed most."""
    of = spread(agreement, (0.0, 1.0))
    row = {"what": "single", "layer": layer, "units": units, "order": "single", "perturb": "zero", "ablated": 1}
    return row | {"agreement": of["mean"], "sd": of["sd"], "low": of["low"], "high": of["high"]}


def arrays(curves: Sequence[Curve], singles: Sequence[tuple[Layer, Sequence[float]]]) -> dict[str, np.ndarray]:
    """The points of each draw: ``<layer>/<order>-<perturbation>/<draw>/fraction``, ``agreement``, ``accuracy``, ``kl``.

    Orders of a layer's units are beside them, and of units ablated alone ``<layer>/single`` (units,).
    """
    made: dict[str, Any] = {}
    for curve in curves:
        name = f"{curve.target}/{curve.order}-{curve.perturb}/{curve.draw}"
        made[f"{name}/fraction"] = np.array([curve.fraction(level) for level in curve.levels])
        for place, metric in enumerate(("agreement", "accuracy", "kl")):
            made[f"{name}/{metric}"] = np.array([curve.value(level)[place] for level in curve.levels])
        if curve.target in curve.orders:
            made[f"{name}/order"] = curve.orders[curve.target].numpy()
    return made | {f"{layer.name}/single": np.array(agreement) for layer, agreement in singles}
