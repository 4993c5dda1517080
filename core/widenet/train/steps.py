"""The optimiser steps of an epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from widenet.components import Train
from widenet.errors import WnError
from widenet.masks import refresh
from widenet.runs import Run
from widenet.train.evaluate import hits, means

GLANCE = 0.2
"""Seconds between looks at the running loss: each one waits for a GPU."""


@attrs.define(eq=False)
class Steps:
    """Everything that a step needs, and the network's compiled form where one is asked for."""

    run: Run
    loop: int
    net: nn.Module
    split: Any
    config: Train
    loss: Callable[[Tensor, Tensor], Tensor]
    optimiser: torch.optim.Optimizer
    stepped: Callable[[int], None] | None = None
    forward: Callable[[Tensor], Tensor] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.forward = torch.compile(self.net) if self.config.compile else self.net

    def epoch(self, number: int) -> dict[str, float]:
        """Pass once over the split; mean loss and accuracies over its images, as ``train/loss`` and so on."""
        self.net.train()
        size, device = self.config.batch_size, torch.device(self.run.device)
        count = -(-len(self.split) // size)
        losses = torch.zeros(count, device=device)
        right = torch.zeros(2, dtype=torch.int64, device=device)
        seen, glance, classes = 0, time.perf_counter() + GLANCE, 0
        for step, (x, y) in enumerate(self.split.batches(size, self.run.generator("order", self.loop, number))):
            if len(y) == 1 < size and count > 1:
                continue  # a last batch of one: batch norm has no statistics of one sample
            logits, value = self._step(x, y)
            if self.stepped is not None:
                self.stepped((number - 1) * count + step + 1)
            with torch.no_grad():
                losses[step] = value * len(y)
                right += hits(logits, y)
            seen, classes = seen + len(y), logits.shape[1]
            if time.perf_counter() > glance:
                running = means(_totals(losses[: step + 1], right, number), seen, classes)
                self.run.reporter.step(number, self.config.epochs, (step + 1) / count, running)
                glance = time.perf_counter() + GLANCE
        found = means(_totals(losses, right, number), max(seen, 1), classes)
        return {f"train/{key}": value for key, value in found.items()}

    def _step(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """One optimiser step; logits and loss before it."""
        if self.config.compile:
            refresh(self.net)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.config.amp):
            logits = self.forward(x)
            value = self.loss(logits, y)
        if value.requires_grad:  # else a schedule has nothing train in this epoch
            value.backward()
            self.optimiser.step()
            self.optimiser.zero_grad()
        return logits.detach(), value.detach()


def _totals(losses: Tensor, right: Tensor, epoch: int) -> Tensor:
    """Summed loss and hits (3,), float64.

    Raises:
        WnError: a loss is not finite, naming the first step at which.
    """
    totals = torch.cat([losses.cpu().double().sum()[None], right.cpu().double()])
    if not math.isfinite(totals[0].item()):
        step = int((~losses.isfinite()).nonzero()[0]) + 1
        raise WnError(
            f"the loss is no longer finite at step {step} of epoch {epoch}; lower --lr or raise --warmup "
            "(checkpoint.pt, if there is one, holds the last good state)"
        )
    return totals
