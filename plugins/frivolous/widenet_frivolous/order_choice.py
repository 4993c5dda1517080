"""The orders in which a study ablates each layer's units: drawn from streams of their own, or by what is known of the units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from widenet.errors import UsageError
from widenet_frivolous.ablation import Ablation, Target
from widenet_frivolous.conditions import Drop
from widenet_frivolous.curve_config import ABLATIONS, Prunability
from widenet_frivolous.layers_chosen import Layer
from widenet_frivolous.orders import ascending, cluster, greedy, random_order, reference
from widenet_frivolous.unit_statistics import Units, collected

DRAWN = ("random", "cluster")
"""Orders that differ from draw to draw."""
TRIED = 256
"""Training samples by which the greedy order is found."""


def statistics(run: Any, net: Any, data: Any, layers: Sequence[Layer], config: Prunability) -> dict[str, Units]:
    """What the study needs to know of the units, from training samples, in one pass; empty where it needs nothing."""
    ablates = any(kind in ABLATIONS for kind in config.perturb)
    known = {"cluster", "activation", "selectivity"} & set(config.order) if ablates else set()
    if not known and "mean" not in config.perturb:
        return {}
    points = [layer.point for layer in layers]
    split = sampled(run, data.train, config.train_samples, "train")
    draws = run.generator("prunability", "rows")

    def progress(done: int, total: int) -> None:
        run.reporter.work("reading units", done, total)

    return collected(net, split, points, data.classes, draws, "cluster" in known, config.batch_size, progress)


def sampled(run: Any, split: Any, count: int, name: str) -> Any:
    """So many samples of a split drawn at random, in their order; all of them if ``count`` is 0 or no fewer are there."""
    if not 0 < count < len(split):
        return split
    drawn = torch.randperm(len(split), generator=run.generator("prunability", "samples", name))[:count]
    return split.part(drawn.sort().values)


def chosen_order(run: Any, net: Any, data: Any, layer: Layer, name: str, draw: int, known: Mapping[str, Units]) -> Tensor:
    """The order of a layer's units by an order's name, int64 (units,).

    Raises:
        UsageError: no weights feed the layer, and the order goes by them.
    """
    draws = run.generator("prunability", name, layer.name, draw)
    if name == "random":
        return random_order(layer.units, draws)
    if name == "weight-norm":
        return ascending(_norms(net, layer))
    if name == "greedy":
        return greedy(layer.units, _trial(run, net, data, layer))
    units = known[layer.name]
    if name == "activation":
        return ascending(units.activity.cpu())
    if name == "selectivity":
        return ascending(units.selectivity().cpu())
    first = reference(~units.dead.cpu(), draws)
    return torch.arange(layer.units) if first is None else cluster(units.correlation(first).cpu())


def _norms(net: Any, layer: Layer) -> Tensor:
    if not layer.feeding:
        raise UsageError(f"order weight-norm needs weights that feed {layer.name}, of as many units; choose another order")
    norms: Tensor = net.get_submodule(layer.feeding).weight.detach().flatten(1).norm(dim=1)
    return norms.cpu()


def _trial(run: Any, net: Any, data: Any, layer: Layer) -> Callable[[Sequence[Tensor]], Sequence[float]]:
    """Agreement on some training samples of a layer with sets of units at zero."""
    engine = Ablation(net, sampled(run, data.train, TRIED, "greedy"))

    def agreement(sets: Sequence[Tensor]) -> list[float]:
        conditions = tuple(Drop({layer.name: chosen.to(run.device)}) for chosen in sets)
        return engine.measure([Target((layer.point,), conditions)])[0].agreement

    return agreement
