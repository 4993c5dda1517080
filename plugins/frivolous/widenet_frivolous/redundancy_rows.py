"""The row of the redundancy table that belongs to one layer, and the arrays behind it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from widenet.kernels.similarity import count_similar, similarity_histogram
from widenet.kernels.spectrum import spectrum
from widenet_frivolous.gathering import Gathered
from widenet_frivolous.options import Redundancy
from widenet_frivolous.redundancy import (
    compressibility,
    live_units,
    not_selective,
    predictability,
    redundant,
    selectivity,
)

BINS = 20
"""Parts of [0, 1] that |r| is counted in."""

Row = dict[str, Any]
Arrays = dict[str, Tensor]


def measured(found: Gathered, config: Redundancy) -> tuple[Row, Arrays]:
    """All statistics of a layer. Means are over units that vary; what has no value, as of a layer of dead units, is None."""
    live = live_units(found.gram)
    row: Row = {"units": len(live), "dead": int((~live).sum()), "rows": found.gram.count}
    arrays: Arrays = {"dead": ~live, "class_means": found.means, "class_rows": found.sizes}
    for part in (
        _similar(found, live, config),
        _spectra(found, live, config),
        _linear(found, live, config),
        _selective(found, live),
    ):
        row |= part[0]
        arrays |= part[1]
    return row, arrays


def _similar(found: Gathered, live: Tensor, config: Redundancy) -> tuple[Row, Arrays]:
    """Other units with |r| of a threshold at least: mean and population deviation, and the mean's share of all others."""
    counts = count_similar(found.rows, config.thresholds)
    row: Row = {}
    for threshold, each in zip(config.thresholds, counts[:, live].double(), strict=True):
        row |= _spread(f"similar_{threshold:g}", each)
        row[f"similar_{threshold:g}_share"] = float(each.mean()) / (len(each) - 1) if len(each) > 1 else None
    return row, {"similar": counts, "histogram": similarity_histogram(found.rows, BINS)}


def _spectra(found: Gathered, live: Tensor, config: Redundancy) -> tuple[Row, Arrays]:
    """Components and redundancy of both matrices; a correlation matrix has dead units as directions without variance."""
    row: Row = {}
    arrays: Arrays = {}
    for matrix, prefix in (("covariance", ""), ("correlation", "correlation_")):
        spread = spectrum(found.gram, correlation=matrix == "correlation")
        values = _padded(spread.eigenvalues, len(live))
        for energy in config.energies:
            row[f"{prefix}components_{energy:g}"] = spread.components(energy)
            row[f"{prefix}compressibility_{energy:g}"] = compressibility(values, energy)
            row[f"{prefix}redundant_{energy:g}"] = redundant(values, energy)
        row[f"{prefix}participation_ratio"] = spread.participation_ratio()
        row[f"{prefix}effective_rank"] = spread.effective_rank()
        arrays[f"{prefix}eigenvalues"] = values
    return row, arrays


def _padded(values: Tensor, units: int) -> Tensor:
    """Ascending eigenvalues of ``units`` units: zeros in front for those that were left out."""
    return torch.cat([values.new_zeros(units - len(values)), values])


def _linear(found: Gathered, live: Tensor, config: Redundancy) -> tuple[Row, Arrays]:
    """R2 of units as linear functions of the others; None where there are too few rows for it to mean anything."""
    enough = found.gram.count > int(live.sum()) + 1
    values = predictability(found.gram, config.ridge) if enough else torch.full((len(live),), torch.nan, dtype=torch.float64)
    return _spread("predictability", values), {"predictability": values}


def _selective(found: Gathered, live: Tensor) -> tuple[Row, Arrays]:
    """Class selectivity of units, those of negative means as well, of which it says little."""
    values = selectivity(found.means, found.sizes)
    row = {**_spread("selectivity", values), "not_selective": not_selective(values)}
    return row, {"selectivity": values}


def _spread(name: str, values: Tensor) -> Row:
    """Mean and population deviation of the values that are numbers; None where none is."""
    defined = values[values.isfinite()]
    mean, deviation = (float(defined.mean()), float(defined.std(correction=0))) if len(defined) else (None, None)
    return {name: mean, f"{name}_sd": deviation}
