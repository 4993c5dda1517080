"""The curves that are measured: one for each target, perturbation, order and draw, with the points measured of it so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs
from torch import Tensor

from widenet_frivolous.curves import counts
from widenet_frivolous.options import ABLATIONS, Perturb
from widenet_frivolous.orders import beginning
from widenet_frivolous.perturb import Condition, Drop, Noise, Replace, Weights
from widenet_frivolous.points import Point

STEPS = 64
"""Into so many steps noise is divided where a threshold is searched."""
Value = tuple[float, float, float]
"""Agreement, accuracy, KL divergence in nats."""


@attrs.define(eq=False)
class Curve:
    """One curve. Levels are fractions, of the units or of the largest noise; equal numbers of units are measured once.

    ``sizes`` are the units of each point, by name. ``orders`` and ``means`` are there where units are overwritten.
    """

    target: str
    points: tuple[Point, ...]
    sizes: Mapping[str, int]
    perturb: Perturb
    order: str
    draw: int
    seed: int
    orders: Mapping[str, Tensor] = attrs.field(factory=dict)
    means: Mapping[str, Tensor] = attrs.field(factory=dict)
    paths: tuple[str, ...] = ()
    truncate: bool = False
    noise: dict[str, tuple[Any, Tensor]] = attrs.field(factory=dict)
    asked: set[float] = attrs.field(factory=set)
    measured: dict[tuple[float, ...], Value] = attrs.field(factory=dict)

    @property
    def ablates(self) -> bool:
        """Whether units are overwritten."""
        return self.perturb in ABLATIONS

    @property
    def group(self) -> tuple[str, str, str]:
        """What the draws of a curve have in common."""
        return self.target, self.order, self.perturb

    @property
    def levels(self) -> list[float]:
        """The levels that were asked for, ascending from the intact network's on."""
        return sorted({0.0, *self.asked})

    @property
    def grid(self) -> int:
        """Steps of the finest levels: the units of the largest layer, or of noise a number."""
        return max(self.sizes.values()) if self.ablates else STEPS

    def key(self, level: float) -> tuple[float, ...]:
        """What two levels have in common that are the same: the number of units at each point."""
        return tuple(counts(self.sizes[p.name], [level], self.truncate)[0] for p in self.points) if self.ablates else (level,)

    def fraction(self, level: float) -> float:
        """The part of all units that is ablated at a level; the level itself of noise, and where the original is followed."""
        return sum(self.key(level)) / sum(self.sizes.values()) if self.ablates and not self.truncate else level

    def ablated(self, level: float) -> int | None:
        """How many units a level stands for, None of noise."""
        return int(sum(self.key(level))) if self.ablates else None

    def condition(self, key: Sequence[float]) -> Condition:
        """The perturbation that a key stands for."""
        if self.perturb in ("weight-noise", "weight-knockout"):
            return Weights(key[0], self.seed, self.paths, self.perturb == "weight-knockout")
        if self.perturb == "noise":
            return Noise(key[0], self.seed, self.noise)
        replace: Replace = self.perturb  # type: ignore[assignment]
        sets = {p.name: beginning(self.orders[p.name], int(count)) for p, count in zip(self.points, key, strict=True)}
        return Drop(sets, replace, self.means, self.seed)

    def value(self, level: float) -> Value:
        """What was measured at a level."""
        return self.measured[self.key(level)]

    def stays(self, level: float, metric: Literal["agreement", "accuracy"]) -> float:
        """What stays at a level: the agreement, or the accuracy as a part of the intact network's."""
        agreement, accuracy, _ = self.value(level)
        intact = self.value(0.0)[1]
        return agreement if metric == "agreement" else accuracy / intact if intact else 0.0

    def over_fractions(self, metric: Literal["agreement", "accuracy"]) -> tuple[list[float], list[float]]:
        """Fractions ablated and what stays there, ascending, one point for each number of units; the intact network first."""
        points = {self.fraction(level): self.stays(level, metric) for level in self.levels}
        return list(points), list(points.values())
