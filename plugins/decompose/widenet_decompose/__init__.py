"""Class-specific filters: which units of a layer each class needs, and a final layer made of only those.

Source: Badola, Roy, Padmanabhan and Lal, "Decomposing the Deep: Finding Class Specific Filters in Deep CNNs", Neural Computing
and Applications 2023.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from widenet import Analysis, Export, Method, NoOptions, Recipe, hookimpl
from widenet_decompose.config import (
    ClassFilters,
    Decompose,
    Essential,
    GateTrain,
    MutualInformation,
    Selectivity,
    SelectivityFinetune,
)
from widenet_decompose.presets import DECOMPOSE, GATES, SELECTIVITY


def reduce_to_filters(run: Any, net: Any, data: Any, config: Decompose) -> dict[str, Any]:
    """Reduce the final layer to the units that each class needs: accuracy by their number, then training on request.

    `--from RUN` names the network. Units are found on its training images, or come from a file (`--indices`).
    """
    from widenet_decompose.decompose import carry_out

    return carry_out(run, net, data, config)


def gate_train(run: Any, net: Any, data: Any, config: GateTrain) -> dict[str, Any]:
    """Train with class-specific gates (CSG, Liang et al. 2020), so that each unit comes to serve few classes."""
    from widenet_decompose.gates import carry_out

    return carry_out(run, net, data, config)


def selectivity_finetune(run: Any, net: Any, data: Any, config: SelectivityFinetune) -> dict[str, Any]:
    """Train on with a loss that lowers (alpha > 0) or raises (alpha < 0) how selective units are for classes."""
    from widenet_decompose.regularise import carry_out

    return carry_out(run, net, data, config)


def find_class_filters(run: Any, net: Any, data: Any, config: ClassFilters) -> Iterable[dict[str, Any]]:
    """The units of any layer that each class needs most, by any score: sets, their mass and overlap, with a figure."""
    from widenet_decompose.class_filters import class_filters

    return class_filters(run, net, data, config)


def overwrite_units(run: Any, net: Any, data: Any, config: Essential) -> Iterable[dict[str, Any]]:
    """What is left of the accuracy when the units of each sample's own class, or all others, are overwritten."""
    from widenet_decompose.essential import essential

    return essential(run, net, data, config)


def compare_sets(run: Any, net: Any, data: Any, config: MutualInformation) -> Iterable[dict[str, Any]]:
    """Mutual information and overlap of the units of different classes, beside those of random ones."""
    from widenet_decompose.mutual_information import mutual_information

    return mutual_information(run, net, data, config)


def measure_selectivity(run: Any, net: Any, data: Any, config: Selectivity) -> Iterable[dict[str, Any]]:
    """How selective the units of each layer are for classes: selectivity index, psi and entropy, with a figure."""
    from widenet_decompose.selectivity import selectivity

    return selectivity(run, net, data, config)


def decomposed(run: Any, net: Any, path: Path, config: NoOptions) -> None:
    """Write the decomposed final layer alone: weights, indices (-1 where a class has fewer) and bias.

    `DecomposedLinear(linear, indices)` of widenet_decompose.layer loads it.
    """
    from widenet_decompose.export import write_layer

    write_layer(run, net, path)


@hookimpl
def methods() -> Iterable[Method]:
    """``wn run decompose``, ``gate-train`` and ``selectivity-finetune``."""
    yield Method("decompose", reduce_to_filters, Decompose, presets=DECOMPOSE)
    yield Method("gate-train", gate_train, GateTrain, presets=GATES)
    yield Method("selectivity-finetune", selectivity_finetune, SelectivityFinetune, presets=SELECTIVITY)


@hookimpl
def analyses() -> Iterable[Analysis]:
    """What reads any run whose network ends in a linear classifier."""
    yield Analysis("class-filters", find_class_filters, ClassFilters)
    yield Analysis("essential", overwrite_units, Essential)
    yield Analysis("mutual-information", compare_sets, MutualInformation)
    yield Analysis("selectivity", measure_selectivity, Selectivity)


@hookimpl
def exports() -> Iterable[Export]:
    """``wn export RUN --what decomposed``."""
    yield Export("decomposed", decomposed)


@hookimpl
def recipes() -> Iterable[Recipe]:
    """``wn reproduce decompose/accuracy-by-k`` and others."""
    from widenet_decompose.claims import ACCURACY_BY_K
    from widenet_decompose.claims_gates import INFORMATION, NOISE

    return [ACCURACY_BY_K, NOISE, INFORMATION]
