"""Analysis ``prunability``: how much of what a network says stays as units are ablated, or noise is added.

Source: Casper et al., "Frivolous Units", AAAI 2021; levels between, spread over orders, accuracy and KL are added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from typing import Any

import torch
from torch import Tensor

from widenet import figures
from widenet.capture import INPUT
from widenet.errors import UsageError
from widenet_frivolous.ablation import Ablation, Target
from widenet_frivolous.ablation_curve import Curve
from widenet_frivolous.curve_table import arrays, curve_rows, grouped, single_row, threshold_row, threshold_values
from widenet_frivolous.curves import middle
from widenet_frivolous.figure import draw_curves
from widenet_frivolous.labels import studied
from widenet_frivolous.layers import Layer, perturbed_layers, weighted_layers
from widenet_frivolous.options import ABLATIONS, Perturb, Prunability
from widenet_frivolous.orders import DRAWN, chosen_order, sampled, statistics
from widenet_frivolous.perturb import Condition, Drop
from widenet_frivolous.points import Point
from widenet_frivolous.recalibrate import Recalibrated, behind, estimated
from widenet_frivolous.units import Units

ALL = "all"
"""Name of the target that is all layers at once."""


def study(run: Any, net: Any, data: Any, config: Prunability) -> Iterator[dict[str, Any]]:
    """Yield a row a point of each curve, a row a threshold and, if asked for, a row a layer of units ablated alone.

    Rows are told apart by ``what``: curve, threshold, single. Draws one by one are kept as arrays beside a figure.

    Raises:
        UsageError: no layer matches, the split is missing or a single sample, an order needs weights that are not there.
    """
    work = Study(run, net, data, config)
    curves = work.curves()
    yield from (row for group in grouped(curves) for row in curve_rows(group, config))
    yield from (threshold_row(group, config) for group in grouped(curves))
    singles = work.singles() if config.single else []
    yield from (single_row(layer.name, layer.units, found) for layer, found in singles)
    run.save_arrays("prunability", arrays(curves, singles))
    figures.save(draw_curves(grouped(curves), config, f"{run.name}: {config.split} samples"), run, "prunability")


def thresholds(run: Any, net: Any, data: Any, config: Prunability) -> dict[tuple[str, str, str], list[float]]:
    """The thresholds of all draws, by target (a layer or ``all``), order and perturbation; nothing is written.

    Raises:
        UsageError: as :func:`study`.
    """
    curves = Study(run, net, data, config).curves()
    return {group[0].group: threshold_values(group, config) for group in grouped(curves)}


class Study:
    """A run's network and samples, with what is perturbed of it."""

    def __init__(self, run: Any, net: Any, data: Any, config: Prunability) -> None:
        data = studied(data, run)
        self.run, self.net, self.data, self.config = run, net, data, config
        if (split := getattr(data, config.split)) is None:
            raise UsageError(f"{data.name} has no split {config.split}; choose train or test")
        split = sampled(run, split, config.samples, config.split)
        if len(split) < 2:
            raise UsageError(f"a curve needs two samples or more, and {config.split} has {len(split)}; choose others")
        self.engine = Ablation(net, split, config.batch_size)

    def curves(self) -> list[Curve]:
        """All curves, measured in one pass, and in a pass for each step on the way to thresholds."""
        config = self.config
        known: dict[str, Units] = {}
        curves: list[Curve] = []
        if ablations := [kind for kind in config.perturb if kind in ABLATIONS or kind == "noise"]:
            layers = perturbed_layers(self.net, self.engine, config.layer)
            known = statistics(self.run, self.net, self.data, layers, config)
            self._say_dead(known)
            curves += self._made(ablations, layers, known)
        if of_weights := [kind for kind in config.perturb if kind.startswith("weight")]:
            layers = weighted_layers(self.net, self.engine, config.layer)
            curves += self._made(of_weights, layers, {})
        asked = {level for level in config.levels if level > 0} | ({1.0} if config.adaptive else set())
        self._measure([(curve, level) for curve in curves for level in sorted(asked)])
        if config.adaptive:
            self._bisect(curves)
        self._say_undone(curves)
        return curves

    def singles(self) -> list[tuple[Layer, list[float]]]:
        """The agreement with each unit of a layer alone at zero, of all layers in one pass."""
        layers = perturbed_layers(self.net, self.engine, self.config.layer)
        targets = []
        for layer in layers:
            alone = (Drop({layer.name: unit}) for unit in torch.eye(layer.units, dtype=torch.bool))
            targets.append(Target((layer.point,), tuple(self._recalibrated((layer.point,), each) for each in alone)))
        found = self.engine.measure(targets, self._progress)
        return [(layer, each.agreement) for layer, each in zip(layers, found, strict=True)]

    def _targets(self, layers: Sequence[Layer]) -> dict[str, list[Layer]]:
        """By name the layers that are perturbed at once."""
        each = {layer.name: [layer] for layer in layers} if self.config.targets != "all" else {}
        whole = self.config.targets == "all" or (self.config.targets == "both" and len(layers) > 1)
        return {**each, **({ALL: list(layers)} if whole else {})}

    def _made(self, kinds: Sequence[Perturb], layers: Sequence[Layer], known: dict[str, Units]) -> Iterator[Curve]:
        """The curves of each kind, order and draw; orders are the same for a layer alone and for all."""

        @cache
        def order_of(layer: Layer, name: str, draw: int) -> Tensor:
            return chosen_order(self.run, self.net, self.data, layer, name, draw, known)

        for kind, (target, of) in product(kinds, self._targets(layers).items()):
            for order in self.config.order if kind in ABLATIONS else ("-",):
                drawn = order in DRAWN
                for draw in range(self.config.draws if drawn or order == "-" or kind == "resample" else 1):
                    curve = Curve(
                        target.removesuffix(INPUT) if kind.startswith("weight") else target,
                        tuple(layer.point for layer in of),
                        {layer.name: layer.units for layer in of},
                        kind,
                        order,
                        draw,
                        self.run.seed_for("prunability", kind, draw),
                        means={layer.name: known[layer.name].mean for layer in of} if kind == "mean" else {},
                        paths=tuple(layer.feeding for layer in of),
                        truncate=self.config.truncate,
                    )
                    if curve.ablates:
                        curve.orders = {layer.name: order_of(layer, order, draw if drawn else 0) for layer in of}
                    curve.measured[curve.key(0.0)] = (1.0, float("nan"), 0.0)
                    yield curve

    def _measure(self, wanted: Sequence[tuple[Curve, float]]) -> None:
        """Measure levels of curves in one pass over the data, each number of units once."""
        todo: dict[tuple[Point, ...], dict[tuple[int, tuple[float, ...]], Curve]] = {}
        for curve, level in wanted:
            curve.asked.add(level)
            if (key := curve.key(level)) not in curve.measured:
                todo.setdefault(curve.points, {})[id(curve), key] = curve
        if not todo:
            return
        targets = [
            Target(points, tuple(self._recalibrated(points, curve.condition(key)) for (_, key), curve in of.items()))
            for points, of in todo.items()
        ]
        for of, found in zip(todo.values(), self.engine.measure(targets, self._progress), strict=True):
            values = zip(found.agreement, found.accuracy, found.divergence, strict=True)
            for ((_, key), curve), value in zip(of.items(), values, strict=True):
                curve.measured[key] = value
                curve.measured[curve.key(0.0)] = (1.0, found.intact / found.samples, 0.0)

    def _progress(self, done: int, total: int) -> None:
        self.run.reporter.work(f"ablating, {self.config.split}", done, total)

    def _recalibrated(self, points: tuple[Point, ...], condition: Condition) -> Condition:
        """The condition, with batch norm statistics of its own where these are asked for."""
        paths = behind(self.net, self.engine.calls, points) if self.config.recalibrate else []
        if not paths:
            return condition
        split = sampled(self.run, self.data.train, self.config.train_samples, "train")
        batches = split.batches(self.engine.batch_size)
        return Recalibrated(condition, estimated(self.net, batches, paths, points, condition))

    def _bisect(self, curves: Sequence[Curve]) -> None:
        while wanted := [(curve, level) for curve in curves if (level := self._next(curve)) is not None]:
            self._measure(wanted)

    def _next(self, curve: Curve) -> float | None:
        """The next level of a curve to measure; levels that stand for a number of units known by now are passed over."""
        while True:
            stays = {level: curve.stays(level, self.config.metric) for level in curve.levels}
            found = middle(stays, self.config.at, curve.grid)
            if found is None or curve.key(found) not in curve.measured:
                return found
            curve.asked.add(found)

    def _say_dead(self, known: dict[str, Units]) -> None:
        for name, units in known.items():
            dead = int(units.dead.sum())
            if dead:
                which = "all its units are" if dead == len(units.mean) else f"{dead} of its {len(units.mean)} units are"
                self.run.say(f"{name}: {which} constant over the training samples; they go last where similar units go first")

    def _say_undone(self, curves: Sequence[Curve]) -> None:
        """Warn of layers that can be ablated altogether, so that their curves do not say what their units do."""
        warned: set[str] = set()
        for curve in curves:
            if not curve.ablates or curve.key(1.0) not in curve.measured or curve.target in warned:
                continue
            agreement, _, divergence = curve.value(1.0)
            around = self.engine.plan(curve.points).kind == "around"
            if agreement < self.config.at or not (around or divergence == 0):
                continue
            warned.add(curve.target)
            reason = "a shortcut carries on what it is given" if around else "nothing reads it, or its units are dead"
            self.run.say(
                f"{curve.target}: with all units ablated {agreement:.0%} of the labels stay: {reason}; "
                "its curve says nothing of single units"
            )
