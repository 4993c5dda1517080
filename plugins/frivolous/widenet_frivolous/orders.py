"""Orders in which units are ablated, and what is to be known of the units for them.

The sets of all levels are nested, being the beginnings of one order.

Source: Casper et al. 2021 for random and targeted orders (code); orders by importance remove the least important first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from widenet.errors import UsageError
from widenet_frivolous.ablation import Ablation, Target
from widenet_frivolous.layers import Layer
from widenet_frivolous.options import ABLATIONS, Prunability
from widenet_frivolous.perturb import Drop
from widenet_frivolous.units import Units, unit_statistics

DRAWN = ("random", "cluster")
"""Orders that differ from draw to draw."""
TRIED = 256
"""Training samples by which the greedy order is found."""
STEP = 0.1
"""Part of the remaining units that the greedy order takes before it measures again."""


def random_order(units: int, generator: torch.Generator) -> Tensor:
    """Units in random order, int64 (units,)."""
    return torch.randperm(units, generator=generator)


def cluster(correlation: Tensor, dead: Literal["last", "first"] = "last") -> Tensor:
    """Units by falling ``|r|`` with a reference unit, which comes first itself: a cluster of similar units, int64 (N,).

    Args:
        correlation: float (N,) of the reference with every unit; NaN where a unit is constant.
        dead: where units with NaN go; the original code's come first (and equal ones the last before the first).
    """
    strength = correlation.double().abs()
    if dead == "first":
        return strength.nan_to_num(nan=torch.inf).argsort(stable=True).flip(0)
    return strength.nan_to_num(nan=-1.0).argsort(descending=True, stable=True)


def reference(live: Tensor, generator: torch.Generator) -> int | None:
    """A unit drawn at random among those that are ``live``, bool (N,); None where none is."""
    candidates = live.nonzero().flatten()
    return int(candidates[torch.randint(len(candidates), (), generator=generator)]) if len(candidates) else None


def ascending(importance: Tensor) -> Tensor:
    """Units from the least important one on, int64 (N,); of equal ones the first, NaN first."""
    return importance.double().nan_to_num(nan=-torch.inf).argsort(stable=True)


def greedy(units: int, agreement: Callable[[Sequence[Tensor]], Sequence[float]], step: float = STEP) -> Tensor:
    """Units in the order in which they are missed least, beside those that are gone already, int64 (N,).

    All remaining units are tried one by one; the tenth (``step``) that leaves most agreement goes, and the rest is tried again.
    One at a time would take N^2 / 2 trials, this takes about N / ``step``.

    Args:
        units: how many there are.
        agreement: of each of some sets, bool (units,), what stays with the set ablated.
    """
    gone: list[int] = []
    while left := [unit for unit in range(units) if unit not in set(gone)]:
        taken = max(1, int(step * len(left)))
        if len(left) > 1:
            kept = torch.tensor([float(value) for value in agreement([_set(units, [*gone, unit]) for unit in left])])
            left = [left[place] for place in kept.argsort(descending=True, stable=True).tolist()]
        gone += left[:taken]
    return torch.tensor(gone, dtype=torch.int64)


def beginning(order: Tensor, count: int) -> Tensor:
    """The first ``count`` units of an order as a set, bool (N,)."""
    return _set(len(order), order[:count].tolist())


def _set(units: int, members: Sequence[int]) -> Tensor:
    chosen = torch.zeros(units, dtype=torch.bool)
    chosen[list(members)] = True
    return chosen


def statistics(run: Any, net: Any, data: Any, layers: Sequence[Layer], config: Prunability) -> dict[str, Units]:
    """What the study needs to know of the units, from training samples, in one pass; empty where it needs nothing."""
    ablates = any(kind in ABLATIONS for kind in config.perturb)
    known = {"cluster", "activation", "selectivity"} & set(config.order) if ablates else set()
    if not known and "mean" not in config.perturb:
        return {}
    split = sampled(run, data.train, config.train_samples, "train")
    draws = run.generator("prunability", "rows")

    def progress(done: int, total: int) -> None:
        run.reporter.work("reading units", done, total)

    names = [layer.name for layer in layers]
    return unit_statistics(net, split, names, data.classes, draws, "cluster" in known, config.batch_size, progress)


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
        return ascending(units.activity)
    if name == "selectivity":
        return ascending(units.selectivity())
    first = reference(~units.dead, draws)
    return torch.arange(layer.units) if first is None else cluster(units.correlation(first))


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
