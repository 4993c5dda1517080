"""Prunability and redundancy of one run, read from its analyses where they are kept, measured where they are not."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

import attrs

from widenet_frivolous.curves import threshold
from widenet_frivolous.gathering import LOGITS
from widenet_frivolous.kept_analyses import Kept, kept_analyses
from widenet_frivolous.options import LEVELS, Prunability, Redundancy, Width
from widenet_frivolous.prunability import thresholds
from widenet_frivolous.redundancy_analysis import measure_layers

ALL = "all"
"""What stands for all layers: ablated at once for prunability, in the mean for redundancy."""
CURVE = "random-zero"
"""The curves of random orders of units that are set to zero, as an analysis's arrays name them."""


@attrs.frozen(eq=False)
class Values:
    """Fractions of a network's own units, by layer and for ``all``."""

    prunability: Mapping[str, list[float]]
    """The threshold of each random order."""
    redundancy: Mapping[str, float]


def values_of(run: Any, net: Any, data: Any, config: Width) -> Values:
    """What the width tables need of a run; ``net()`` makes its network, which is not called where all is kept.

    Raises:
        UsageError: a layer pattern matches nothing, or the split is missing or of one sample.
        WnError: a layer's outputs are not finite.
    """
    found = _kept_prunability(run, config)
    if found is None:
        found = {target: values for (target, _, _), values in thresholds(run, net(), data, _prunability(config)).items()}
    if ALL not in found and len(found) == 1:
        found = {**found, ALL: next(iter(found.values()))}
    rows = _kept_redundancy(run, config)
    if rows is None:
        rows = {
            layer: row for layer, (row, _) in measure_layers(run, net(), data, _redundancy(config)).items() if layer != LOGITS
        }
    prefix = "correlation_" if config.pca == "correlation" else ""
    layers = {layer: row[f"{prefix}compressibility_{config.energy:g}"] for layer, row in rows.items()}
    return Values(found, {ALL: fmean(layers.values()), **layers})


def _prunability(config: Width) -> Prunability:
    """The analysis that is carried out where none is kept: the published number, and no point beside it."""
    return Prunability(
        layer=config.layer,
        targets="both" if config.per_layer else "all",
        levels=(0.0, 1.0) if config.adaptive else LEVELS,
        adaptive=config.adaptive,
        at=config.at,
        draws=config.draws,
        split=config.split,
    )


def _redundancy(config: Width) -> Redundancy:
    return Redundancy(layer=config.layer, split=config.split, energies=(config.energy,), pool=config.pool)


def _kept_prunability(run: Any, config: Width) -> dict[str, list[float]] | None:
    """The thresholds by target of the newest analysis that has them, of as many orders as are wanted; None without one."""
    wanted = {
        "layer": config.layer,
        "split": config.split,
        "adaptive": config.adaptive,
        "samples": 0,
        "recalibrate": False,
        "truncate": False,
        **({"at": config.at, "metric": "agreement"} if config.adaptive else {"levels": LEVELS}),
    }
    for kept in kept_analyses(run, "prunability"):
        options = kept.options
        enough = "random" in options["order"] and "zero" in options["perturb"] and options["draws"] >= config.draws
        targets = options["targets"] == "both" or (options["targets"] == "all" and not config.per_layer)
        if enough and targets and kept.has(wanted):
            return _read(kept, config)
    return None


def _read(kept: Kept, config: Width) -> dict[str, list[float]]:
    """By target the thresholds of the first orders of an analysis."""
    arrays = kept.arrays("prunability")
    found: dict[str, list[float]] = {}
    for target in dict.fromkeys(name.split(f"/{CURVE}/")[0] for name in arrays if f"/{CURVE}/" in name):
        curves = (f"{target}/{CURVE}/{draw}" for draw in range(config.draws))
        found[target] = [
            threshold(arrays[f"{curve}/fraction"].tolist(), arrays[f"{curve}/agreement"].tolist(), config.at)
            for curve in curves
        ]
    return found


def _kept_redundancy(run: Any, config: Width) -> dict[str, Any] | None:
    """The rows by layer of the newest analysis that has the energy; None without one."""
    wanted = {"layer": config.layer, "split": config.split, "pool": config.pool, "rows": _redundancy(config).rows, "draw": 0}
    for kept in kept_analyses(run, "redundancy"):
        if config.energy in kept.options["energies"] and kept.has(wanted):
            return {row["layer"]: row for row in kept.rows}
    return None
