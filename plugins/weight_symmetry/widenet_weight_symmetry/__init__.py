"""Weight symmetry: how many permutations of its units leave a masked network as it is, and whether that matters.

Source: Ioannou's research code "Weight Symmetry" (2020); no paper reports its experiments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from widenet import Analysis, Comparison, Method, Model, Recipe, hookimpl
from widenet_weight_symmetry.across import symmetry_across
from widenet_weight_symmetry.across_config import Across
from widenet_weight_symmetry.config import FixedParam, Prune, RandomMask, ShuffledMask, Symmetry
from widenet_weight_symmetry.models import MODELS
from widenet_weight_symmetry.presets import FIXED, PRESETS, PRUNE, TRAIN


def shuffled_mask(run: Any, net: Any, data: Any, config: ShuffledMask) -> dict[str, Any]:
    """Train a network from scratch under random masks of a type and sparsity, and count the symmetry they leave."""
    from widenet_weight_symmetry.studies import shuffled

    return shuffled(run, net, data, config)


def random_mask(run: Any, net: Any, data: Any, config: RandomMask) -> dict[str, Any]:
    """Train a network from scratch under random masks whose sparsity is drawn as well."""
    from widenet_weight_symmetry.studies import random

    return random(run, net, data, config)


def fixed_param(run: Any, net: Any, data: Any, config: FixedParam) -> dict[str, Any]:
    """Train a network of a given number of parameters from scratch under random masks: deep and narrow, or shallow and wide.

    The widths follow from `--arch mnist-fc:params=100000,depth=3`. Masks are not propagated.
    """
    from widenet_weight_symmetry.studies import fixed_param

    return fixed_param(run, net, data, config)


def prune_by_magnitude(run: Any, net: Any, data: Any, config: Prune) -> dict[str, Any]:
    """Train a network and remove its smallest weights, at once or in several steps; symmetry is counted every epoch."""
    from widenet_weight_symmetry.pruning import pruned

    return pruned(run, net, data, config)


def count_symmetry(run: Any, net: Any, data: Any, config: Symmetry) -> Iterable[dict[str, Any]]:
    """Count the permutations of its units that leave a run's masks as they are, layer by layer and in all."""
    from widenet import figures
    from widenet_weight_symmetry import figure
    from widenet_weight_symmetry.analysis import TOTAL, symmetry

    rows = symmetry(run, net, data, config)
    return figures.beside(rows, lambda found: figure.symmetry(found, TOTAL, run.name), run, "symmetry")


@hookimpl
def models() -> Iterable[Model]:
    """The networks of the study."""
    return MODELS


@hookimpl
def methods() -> Iterable[Method]:
    """The study's experiments; its dense training is core's ``train``."""
    yield Method("shuffled-mask", shuffled_mask, ShuffledMask, presets=PRESETS)
    yield Method("random-mask", random_mask, RandomMask, presets=PRESETS)
    yield Method("fixed-param", fixed_param, FixedParam, presets=FIXED)
    yield Method("prune", prune_by_magnitude, Prune, presets=PRUNE)


@hookimpl
def analyses() -> Iterable[Analysis]:
    """``wn analyze symmetry`` and ``wn analyze symmetry-across``."""
    yield Analysis("symmetry", count_symmetry, Symmetry)
    yield Comparison("symmetry-across", symmetry_across, Across)


@hookimpl
def recipes() -> Iterable[Recipe]:
    """``wn reproduce symmetry-vs-sparsity``."""
    from widenet_weight_symmetry.claims import SYMMETRY

    yield SYMMETRY


@hookimpl
def presets() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Dense training of the study's networks."""
    return {"train": TRAIN}
