"""Orders in which units are ablated; the sets of all levels are nested, being the beginnings of one order.

Source: Casper et al. 2021 for random and targeted orders (code); orders by importance remove the least important first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

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
