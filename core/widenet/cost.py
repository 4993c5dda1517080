"""What runs will cost, from a timed step of each network."""

from __future__ import annotations

import time
from typing import Any

from widenet.components import Train
from widenet.execute import prepare
from widenet.options import canonical
from widenet.plan import Plan

SAMPLES = 32
"""Of a timed batch, at most; larger batches are taken to cost in proportion."""
ENOUGH = 0.3
"""Seconds of steps after which a network is timed."""


class Costs:
    """Estimates of runs, in seconds on one thread; each network is timed once."""

    def __init__(self) -> None:
        self._sample: dict[str, tuple[float, int, int]] = {}

    def of(self, plan: Plan) -> float:
        """Seconds of the plan's method: its epochs of training, or one pass over the test samples where it does not train.

        Raises:
            UsageError: the network does not permit the data's shape.
            WnError: the data cannot be had.
        """
        each, train, test = self._timed(plan)
        if not isinstance(plan.config, Train):
            return each / 3 * test  # a third: forward only
        kept = (1 - plan.config.val) * (min(train, plan.config.per_class * 10) if plan.config.per_class else train)
        return each * plan.config.epochs * (kept + test / 3 / plan.config.eval_every)

    def _timed(self, plan: Plan) -> tuple[float, int, int]:
        """Seconds of a sample in a training step, and how many samples there are to train on and to test."""
        key = canonical({part: plan.identity[part] for part in ("arch", "dataset")})
        if key not in self._sample:
            net, data, _ = prepare(plan)
            self._sample[key] = _step(net, data), len(data.train), len(data.test)
        return self._sample[key]


def _step(net: Any, data: Any) -> float:
    """Seconds of a training step, forward and backward, a sample: the least of a few."""
    import torch
    from torch.nn import functional as F

    size = min(SAMPLES, len(data.train))
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
    return min(spent) / size
