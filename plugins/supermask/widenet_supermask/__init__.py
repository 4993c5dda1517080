"""Supermasks: subnetworks that work although not one weight was ever trained.

Source: Ramanujan, Wortsman, Kembhavi, Farhadi and Rastegari, "What's hidden in a randomly weighted neural network?", CVPR 2020.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from widenet import Analysis, Comparison, Export, Method, NoOptions, Recipe, hookimpl
from widenet_supermask.checkpoints import CHECK, import_mask
from widenet_supermask.config import Import, Supermask
from widenet_supermask.presets import BASELINES, PRESETS


def supermask(run: Any, net: Any, data: Any, config: Supermask) -> dict[str, Any]:
    """Find a subnetwork of random weights by edge-popup, or by another variant; the weights are never trained.

    Every weight gets a score. Each forward pass uses the weights with the largest |score| of their layer; gradients reach all
    scores, as if the choice were not there, so that dropped weights can pop up again.
    """
    from widenet_supermask.method import find_mask

    return find_mask(run, net, data, config)


def seed(run: Any, net: Any, path: Path, config: NoOptions) -> None:
    """Write masks as bits, and the seed that draws the weights: a tiny file that gives the network back bit for bit.

    `wn run supermask-import --file FILE` reads it.
    """
    from widenet_supermask.seedfile import write_seed

    write_seed(run, net, path, config)


def mask_overlap(runs: Any, nets: Any, data: Any, config: NoOptions) -> Iterable[dict[str, Any]]:
    """Compare the masks of every pair of runs, layer by layer, with masks that keep as many weights at random.

    jaccard: kept in both among kept in either; hamming: fraction of the weights that only one keeps; z: standard deviations
    between the common weights and what chance gives. The last row of a pair, ``all``, sums over its layers. The figure shows
    index and z by layer, and of three runs or more a matrix of all pairs.
    """
    from widenet import figures
    from widenet_supermask import figure, overlap

    names = [run.name for run in runs]
    rows = overlap.mask_overlap(runs)
    return figures.beside(rows, lambda found: figure.mask_overlap(found, names), runs[0], "mask-overlap")


def _original(text: str) -> tuple[Mapping[str, Any], Sequence[str]]:
    """Read a configuration file of the paper's code; only then is a reader of YAML needed."""
    from widenet_supermask.original import read_original

    return read_original(text)


@hookimpl
def methods() -> Iterable[Method]:
    """``wn run supermask`` and ``wn run supermask-import``."""
    readers = {".yml": _original, ".yaml": _original}
    yield Method("supermask", supermask, Supermask, presets=PRESETS, readers=readers)
    yield Method("supermask-import", import_mask, Import, presets={"check": CHECK})


@hookimpl
def analyses() -> Iterable[Analysis]:
    """``wn analyze mask-overlap``."""
    yield Comparison("mask-overlap", mask_overlap)


@hookimpl
def exports() -> Iterable[Export]:
    """``wn export RUN --what seed``."""
    yield Export("seed", seed, suffix=".h5")


@hookimpl
def recipes() -> Iterable[Recipe]:
    """``wn reproduce supermask/depth`` and others."""
    from widenet_supermask.claims import RECIPES

    return RECIPES


@hookimpl
def presets() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Dense training as the paper configures it, to compare with."""
    return {"train": BASELINES}
