"""Frivolous units: which units of wider networks are prunable, which redundant.

Source: Casper, Boix, D'Amario, Guo, Schrimpf, Vinken and Kreiman, "Frivolous Units: Wider Networks Are Not Really That Wide",
AAAI 2021.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from widenet import Analysis, Comparison, Dataset, Export, Method, Model, Recipe, hookimpl
from widenet_frivolous.datasets import DATASETS
from widenet_frivolous.models import MODELS
from widenet_frivolous.options import Frivolous, Prunability, Redundancy, Similarity, StudyCsv, Width
from widenet_frivolous.presets import PRESETS


def train_and_study(run: Any, net: Any, data: Any, config: Frivolous) -> dict[str, Any]:
    """Train a network, then study which of its units can be removed, and which repeat others.

    `--no-train` studies a network as it is: that of another run (`--from`).
    """
    from widenet_frivolous.method import carry_out

    return carry_out(run, net, data, config)


def study_prunability(run: Any, net: Any, data: Any, config: Prunability) -> Iterable[dict[str, Any]]:
    """Labels that stay the same while units are removed, layer by layer and in all at once, with thresholds and a figure."""
    from widenet_frivolous.prunability import study

    return study(run, net, data, config)


def study_redundancy(run: Any, net: Any, data: Any, config: Redundancy) -> Iterable[dict[str, Any]]:
    """How far the units of each layer repeat others: similar units, directions needed, predictability, with a figure."""
    from widenet_frivolous.redundancy_analysis import study

    return study(run, net, data, config)


def compare_networks(runs: Any, nets: Any, data: Any, config: Similarity) -> Iterable[dict[str, Any]]:
    """How alike the layers of networks are: CKA, SVCCA, and how well one's units are mapped onto another's."""
    from widenet_frivolous.similarity import compare

    return compare(runs, nets, data, config)


def tabulate_widths(runs: Any, nets: Any, data: Any, config: Width) -> Iterable[dict[str, Any]]:
    """How prunability and redundancy grow from one width of a network to the next, with figures."""
    from widenet_frivolous.width import tables

    return tables(runs, nets, data, config)


def write_tables(run: Any, net: Any, path: Path, config: StudyCsv) -> None:
    """Write what a run's redundancy or prunability have found as the original's table, for its notebooks."""
    from widenet_frivolous.csv_export import write

    write(run, net, path, config)


@hookimpl
def models() -> Iterable[Model]:
    """The study's networks."""
    return MODELS


@hookimpl
def datasets() -> Iterable[Dataset]:
    """The study's data."""
    return DATASETS


@hookimpl
def methods() -> Iterable[Method]:
    """``wn run frivolous``."""
    yield Method("frivolous", train_and_study, Frivolous, presets=PRESETS)


@hookimpl
def analyses() -> Iterable[Analysis]:
    """What reads any run, and what compares several."""
    yield Analysis("prunability", study_prunability, Prunability)
    yield Analysis("redundancy", study_redundancy, Redundancy)
    yield Comparison("similarity", compare_networks, Similarity)
    yield Comparison("width", tabulate_widths, Width, presets={"check": {"growth": False}})


@hookimpl
def exports() -> Iterable[Export]:
    """``wn export RUN --what frivolous-csv``."""
    yield Export("frivolous-csv", write_tables, StudyCsv, suffix=".csv")


@hookimpl
def recipes() -> Iterable[Recipe]:
    """``wn reproduce frivolous/redundancy-by-width`` and others."""
    from widenet_frivolous.claims import RECIPES

    return RECIPES
