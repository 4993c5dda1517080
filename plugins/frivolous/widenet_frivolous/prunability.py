"""Analysis ``prunability``: how much of what a network says stays as units are ablated, or noise is added.

Source: Casper et al., "Frivolous Units", AAAI 2021; levels between, spread over orders, accuracy and KL are added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from widenet import figures
from widenet.capture import INPUT
from widenet.errors import UsageError
from widenet_frivolous.ablation import Ablation, Target
from widenet_frivolous.bisection import middle
from widenet_frivolous.conditions import Condition
from widenet_frivolous.curve_config import ABLATIONS, Prunability
from widenet_frivolous.curve_figure import draw
from widenet_frivolous.curve_table import arrays, curve_rows, grouped, single_row, threshold_row, threshold_values
from widenet_frivolous.layers_chosen import Layer, layers_chosen, weighted
from widenet_frivolous.lines import Line
from widenet_frivolous.order_choice import DRAWN, chosen_order, sampled, statistics
from widenet_frivolous.points import Point
from widenet_frivolous.recalibrate import Recalibrated, behind, estimated
from widenet_frivolous.unit_statistics import Units

ALL = "all"
"""Name of the target that is all layers at once."""
Targets = dict[str, list[Layer]]


def study(run: Any, net: Any, data: Any, config: Prunability) -> Iterator[dict[str, Any]]:
    """Yield a row a point of each curve, a row a threshold and, if asked for, a row a layer of units ablated alone.

    Rows are told apart by ``what``: curve, threshold, single. Draws one by one are kept as arrays beside a figure.

    Raises:
        UsageError: no layer matches, the split is missing or a single sample, an order needs weights that are not there.
    """
    work = Study(run, net, data, config)
    lines = work.curves()
    yield from (row for group in grouped(lines) for row in curve_rows(group, config))
    yield from (threshold_row(group, config) for group in grouped(lines))
    singles = work.singles() if config.single else []
    yield from (single_row(layer.name, layer.units, found) for layer, found in singles)
    run.save_arrays("prunability", arrays(lines, singles))
    figures.save(draw(grouped(lines), config, f"{run.name}: {config.split} samples"), run, "prunability")


def thresholds(run: Any, net: Any, data: Any, config: Prunability) -> dict[tuple[str, str, str], list[float]]:
    """The thresholds of all draws, by target (a layer or ``all``), order and perturbation; nothing is written.

    Raises:
        UsageError: as :func:`study`.
    """
    lines = Study(run, net, data, config).curves()
    return {group[0].group: threshold_values(group, config) for group in grouped(lines)}


class Study:
    """A run's network and samples, with what is perturbed of it."""

    def __init__(self, run: Any, net: Any, data: Any, config: Prunability) -> None:
        self.run, self.net, self.data, self.config = run, net, data, config
        if (split := getattr(data, config.split)) is None:
            raise UsageError(f"{data.name} has no split {config.split}; choose train or test")
        split = sampled(run, split, config.samples, config.split)
        if len(split) < 2:
            raise UsageError(f"a curve needs two samples or more, and {config.split} has {len(split)}; choose others")
        self.engine = Ablation(net, split, config.batch_size)

    def curves(self) -> list[Line]:
        """All curves, measured in one pass, and in a pass for each step on the way to thresholds."""
        config = self.config
        known: dict[str, Units] = {}
        lines: list[Line] = []
        if ablations := [kind for kind in config.perturb if kind in ABLATIONS or kind == "noise"]:
            layers = layers_chosen(self.net, self.engine, config.layer)
            known = statistics(self.run, self.net, self.data, layers, config)
            self._say_dead(known)
            lines += self._lines(ablations, layers, known)
        if of_weights := [kind for kind in config.perturb if kind.startswith("weight")]:
            paths = weighted(self.net, self.engine, config.layer)
            layers = [Layer(Point(path + INPUT), len(self.net.get_submodule(path).weight), path) for path in paths]
            lines += self._lines(of_weights, layers, {})
        asked = {level for level in config.levels if level > 0} | ({1.0} if config.adaptive else set())
        self._measure([(line, level) for line in lines for level in sorted(asked)])
        if config.adaptive:
            self._bisect(lines)
        self._say_undone(lines)
        return lines

    def singles(self) -> list[tuple[Layer, list[float]]]:
        """The agreement with each unit of a layer alone at zero, of all layers in one pass."""
        layers = layers_chosen(self.net, self.engine, self.config.layer)
        lines = [self._line(layer.name, [layer], "zero", "single", unit, {}) for layer in layers for unit in range(layer.units)]
        for line in lines:
            line.truncate = False
            line.orders = {line.target: _first(line.draw, line.sizes[line.target])}
        self._measure([(line, 1 / line.grid) for line in lines])
        found = {layer.name: [line.value(1 / line.grid)[0] for line in lines if line.target == layer.name] for layer in layers}
        return [(layer, found[layer.name]) for layer in layers]

    def _targets(self, layers: Sequence[Layer]) -> Targets:
        each = {layer.name: [layer] for layer in layers} if self.config.targets != "all" else {}
        whole = self.config.targets == "all" or (self.config.targets == "both" and len(layers) > 1)
        return {**each, **({ALL: list(layers)} if whole else {})}

    def _lines(self, kinds: Sequence[Any], layers: Sequence[Layer], known: dict[str, Units]) -> list[Line]:
        """The curves of each kind, order and draw; orders are the same for a layer alone and for all."""
        made: dict[tuple[str, str, int], Tensor] = {}

        def order_of(layer: Layer, name: str, draw: int) -> Tensor:
            key = layer.name, name, draw if name in DRAWN else 0
            if key not in made:
                made[key] = chosen_order(self.run, self.net, self.data, layer, *key[1:], known)
            return made[key]

        lines = []
        for kind in kinds:
            for target, of in self._targets(layers).items():
                for order in self.config.order if kind in ABLATIONS else ("-",):
                    for number in range(self.config.draws if order in (*DRAWN, "-") or kind == "resample" else 1):
                        line = self._line(target, of, kind, order, number, known)
                        if line.ablates:
                            line.orders = {layer.name: order_of(layer, order, number) for layer in of}
                        lines.append(line)
        return lines

    def _line(self, target: str, of: Sequence[Layer], kind: Any, order: str, draw: int, known: dict[str, Units]) -> Line:
        line = Line(
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
        line.measured[line.key(0.0)] = (1.0, float("nan"), 0.0)
        return line

    def _measure(self, wanted: Sequence[tuple[Line, float]]) -> None:
        """Measure levels of lines in one pass over the data, each number of units once."""
        todo: dict[tuple[Point, ...], list[tuple[Line, tuple[float, ...]]]] = {}
        asked: set[tuple[int, tuple[float, ...]]] = set()
        for line, level in wanted:
            line.asked.add(level)
            key = line.key(level)
            if key not in line.measured and (id(line), key) not in asked:
                asked.add((id(line), key))
                todo.setdefault(line.points, []).append((line, key))
        targets = [Target(points, tuple(self._condition(line, key) for line, key in of)) for points, of in todo.items()]

        def progress(done: int, total: int) -> None:
            self.run.reporter.work(f"ablating, {self.config.split}", done, total)

        if not targets:
            return
        for of, found in zip(todo.values(), self.engine.measure(targets, progress), strict=True):
            values = zip(found.agreement, found.accuracy, found.divergence, strict=True)
            for (line, key), value in zip(of, values, strict=True):
                line.measured[key] = value
                line.measured[line.key(0.0)] = (1.0, found.intact / found.samples, 0.0)

    def _condition(self, line: Line, key: tuple[float, ...]) -> Condition:
        condition = line.condition(key)
        if not self.config.recalibrate:
            return condition
        split = sampled(self.run, self.data.train, self.config.train_samples, "train")
        paths = behind(self.net, self.engine.calls, line.points)
        batches = split.batches(self.engine.batch_size)
        return Recalibrated(condition, estimated(self.net, batches, paths, line.points, condition)) if paths else condition

    def _bisect(self, lines: Sequence[Line]) -> None:
        while wanted := [(line, level) for line in lines if (level := self._next(line)) is not None]:
            self._measure(wanted)

    def _next(self, line: Line) -> float | None:
        """The next level of a line to measure; levels that stand for a number of units known by now are passed over."""
        while True:
            intact = line.value(0.0)[1]
            curve = {}
            for level in {0.0, *line.asked}:
                agreement, accuracy, _ = line.value(level)
                curve[level] = agreement if self.config.metric == "agreement" else accuracy / intact if intact else 0.0
            found = middle(curve, self.config.at, line.grid)
            if found is None or line.key(found) not in line.measured:
                return found
            line.asked.add(found)

    def _say_dead(self, known: dict[str, Units]) -> None:
        for name, units in known.items():
            dead = int(units.dead.sum())
            if dead:
                which = "all its units are" if dead == len(units.mean) else f"{dead} of its {len(units.mean)} units are"
                self.run.say(f"{name}: {which} constant over the training samples; they go last where similar units go first")

    def _say_undone(self, lines: Sequence[Line]) -> None:
        """Warn of layers that can be ablated altogether, so that their curves do not say what their units do."""
        warned: set[str] = set()
        for line in lines:
            if not line.ablates or line.key(1.0) not in line.measured or line.target in warned:
                continue
            agreement, _, divergence = line.value(1.0)
            around = self.engine.plan(line.points).kind == "around"
            if agreement < self.config.at or not (around or divergence == 0):
                continue
            warned.add(line.target)
            reason = "a shortcut carries on what it is given" if around else "nothing reads it, or its units are dead"
            self.run.say(
                f"{line.target}: with all units ablated {agreement:.0%} of the labels stay: {reason}; "
                "its curve says nothing of single units"
            )


def _first(unit: int, count: int) -> Tensor:
    """An order that begins with a unit."""
    return torch.tensor([unit, *(other for other in range(count) if other != unit)])


__all__ = ["ALL", "Study", "study", "thresholds"]
