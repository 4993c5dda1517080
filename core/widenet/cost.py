"""What runs will cost, from a timed step of each network."""

from __future__ import annotations

import time
from typing import Any

from widenet.components import Train
from widenet.execute import prepare
from widenet.options import canonical
from widenet.plan import Plan

SAMPLES = 32
"""Of a timed batch, where a step of a whole one would take long; larger batches are then taken to cost in proportion."""
QUICK = 0.05
"""Seconds of such a step below which the whole batch is timed: what a step costs whatever its size counts in small networks."""
ENOUGH = 0.3
"""Seconds of steps after which a network is timed."""


class Costs:
    """Estimates of runs, in seconds on one thread; each network is timed once for each size of batches and of data."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, int, int]] = {}

    def of(self, plan: Plan) -> float:
        """Seconds of the plan's method: its epochs of training, or one pass over the test samples where it does not train.

        Raises:
            UsageError: the network does not permit the data's shape.
            WnError: the data cannot be had.
        """
        each, train, test = self._timed(plan)
        if not isinstance(plan.config, Train):
            return each / 3 * test  # a third: forward only
        return each * plan.config.epochs * (train + test / 3 / plan.config.eval_every)

    def _timed(self, plan: Plan) -> tuple[float, int, int]:
        """Seconds of a sample in a training step, and how many samples there are to train on and to test."""
        own = ("batch_size", "val", "per_class") if isinstance(plan.config, Train) else ()
        parts = {part: plan.identity[part] for part in ("arch", "dataset")}
        key = canonical({**parts, **{name: getattr(plan.config, name) for name in own}})
        if key not in self._kept:
            net, data, _ = prepare(plan)
            each = _sample(net, data, plan.config.batch_size if own else SAMPLES)
            self._kept[key] = each, len(data.train), len(data.test)
        return self._kept[key]


def _sample(net: Any, data: Any, batch: int) -> float:
    """Seconds of a sample in a training step of so many, on one thread, as runs beside each other have."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        size = min(SAMPLES, batch, len(data.train))
        spent = _step(net, data, size)
        if spent < QUICK and (whole := min(batch, len(data.train))) > size:
            size, spent = whole, _step(net, data, whole)
    finally:
        torch.set_num_threads(threads)
    return spent / size


def _step(net: Any, data: Any, size: int) -> float:
    """Seconds of a training step, forward and backward: the least of a few."""
    import torch
    from torch.nn import functional as F

    samples, labels = next(iter(data.train.part(torch.arange(size)).batches(size)))
    net.train(size > 1)  # batch norm has no statistics of one sample
    spent: list[float] = []
    while len(spent) < 2 or (sum(spent) < ENOUGH and len(spent) < 20):
        began = time.perf_counter()
        with torch.enable_grad():
            F.cross_entropy(net(samples), labels).backward()
        net.zero_grad(set_to_none=True)
        spent.append(time.perf_counter() - began)
        if spent[-1] > 10 * ENOUGH:
            break
    return min(spent)
