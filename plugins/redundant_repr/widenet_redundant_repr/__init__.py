"""Redundant representations: what random chunks of a wide layer's neurons can do, and what they know of the others.

Source: Doimo, Glielmo, Goldt and Laio, "Redundant representations help generalization in wide neural networks", NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from widenet import Analysis, Comparison, Dataset, Method, Model, Recipe, hookimpl
from widenet_redundant_repr.config import ChunkDimension, Chunks, OverTraining, RedundantRepr
from widenet_redundant_repr.datasets import DATASETS
from widenet_redundant_repr.models import MODELS
from widenet_redundant_repr.presets import CHECK, PARITY, TRAIN
from widenet_redundant_repr.published_components import DATASETS as PUBLISHED_DATASETS
from widenet_redundant_repr.published_components import MODELS as PUBLISHED_MODELS


def redundant_repr(run: Any, net: Any, data: Any, config: RedundantRepr) -> dict[str, Any]:
    """Train a network, then study the chunks of its last representation: table, figure and summary.

    `--no-train` studies a network as it is: that of another run (`--from`), or published representations.
    """
    from widenet_redundant_repr.method import carry_out

    return carry_out(run, net, data, config)


def study_chunks(run: Any, net: Any, data: Any, config: Chunks) -> Iterable[dict[str, Any]]:
    """Errors, R2 and residual correlations of random chunks of a layer's neurons, with the paper's figure."""
    from widenet_redundant_repr.analysis import check, study

    return study(run, net, data, config, check(run, net, data, config))[0]


def chunks_over_training(run: Any, net: Any, data: Any, config: OverTraining) -> Iterable[dict[str, Any]]:
    """Errors, R2 and correlations of chunks at every epoch whose weights a run saved (--save-every), with a figure."""
    from widenet_redundant_repr.dynamics import over_training

    return over_training(run, net, data, config)


def chunk_dimension(run: Any, net: Any, data: Any, config: ChunkDimension) -> Iterable[dict[str, Any]]:
    """Intrinsic dimension of random chunks of a layer, by the distances to the two nearest neighbours (2-NN), with a figure."""
    from widenet import figures
    from widenet_redundant_repr.dimension import dimensions
    from widenet_redundant_repr.figure_tables import dimensions as draw

    return figures.beside(dimensions(run, net, data, config), lambda rows: draw(rows, run.name), run, "chunk-dimension")


def bias_variance(runs: Any, nets: Any, data: Any, config: Any) -> Iterable[dict[str, Any]]:
    """Bias and variance of runs that differ in their seed, and the error of their ensemble, by architecture, with a figure."""
    from widenet import figures
    from widenet_redundant_repr.across import across
    from widenet_redundant_repr.figure_tables import bias_variance as draw

    return figures.beside(across(runs, nets, data), draw, runs[0], "bias-variance")


@hookimpl
def models() -> Iterable[Model]:
    """The networks of the study, and the read-out of published representations."""
    return [*MODELS, *PUBLISHED_MODELS]


@hookimpl
def datasets() -> Iterable[Dataset]:
    """The data of the study, and published representations."""
    return [*DATASETS, *PUBLISHED_DATASETS]


@hookimpl
def methods() -> Iterable[Method]:
    """``wn run redundant-repr``."""
    yield Method("redundant-repr", redundant_repr, RedundantRepr, presets={**TRAIN, **PARITY, **CHECK})


@hookimpl
def analyses() -> Iterable[Analysis]:
    """``wn analyze chunks``, and what goes with it."""
    yield Analysis("chunks", study_chunks, Chunks)
    yield Analysis("chunks-over-training", chunks_over_training, OverTraining)
    yield Analysis("chunk-dimension", chunk_dimension, ChunkDimension)
    yield Comparison("bias-variance", bias_variance)


@hookimpl
def recipes() -> Iterable[Recipe]:
    """``wn reproduce redundant-repr/three-panels`` and ``width-series``."""
    from widenet_redundant_repr.claims import THREE_PANELS
    from widenet_redundant_repr.claims_width import WIDTH_SERIES

    return [THREE_PANELS, WIDTH_SERIES]


@hookimpl
def presets() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Training of the study's networks on CIFAR."""
    return {"train": TRAIN}
