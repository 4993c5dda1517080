"""The optimiser steps of an epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from widenet.components import Train
from widenet.errors import WnError
from widenet.masks import refresh
from widenet.runs import Run
from widenet.train import agreement, parallel, together
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
    optimiser: torch.optim.Optimizer
    loss: Callable[[Tensor, Tensor], Tensor] | None = None
    stepped: Callable[[int], None] | None = None
    gradient_norm: bool = False
    forward: Callable[[Tensor], Tensor] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.forward = torch.compile(self.net) if self.config.compile else self.net

    def epoch(self, number: int) -> dict[str, float]:
        """Pass once over the split: alone, or stacked with the other runs that this process trains together."""
        values = together.arrive(self, number)
        return self.alone(number) if values is None else values

    def alone(self, number: int) -> dict[str, float]:
        """Pass once over the split; mean loss and accuracies over its images, as ``train/loss`` and so on.

        Raises:
            WnError: a loss is not finite: within a moment, or at the epoch's end where several processes must agree on it.
        """
        self.net.train()
        size, count = self.config.batch_size, self.count
        tally, glance = self.tally(), time.perf_counter() + GLANCE
        order = self.run.generator("order", self.loop, number)
        for step, (x, y, whole) in enumerate(parallel.batches(self.split, size, order)):
            if step == count:
                continue  # a last batch of one: batch norm has no statistics of one sample
            made = self._step(x, y, whole, tally.norms[step] if self.gradient_norm else None)
            if self.stepped is not None:
                self.stepped((number - 1) * count + step + 1)
            tally.add(step, made, y, whole)
            if time.perf_counter() > glance:
                if parallel.world() == 1:
                    tally.check_finite(number)
                self.run.reporter.step(number, self.config.epochs, (step + 1) / count, tally.running())
                glance = time.perf_counter() + GLANCE
        agreement.average_statistics(self.net)
        tally.sum_up()
        return self.values(tally, number)

    def tally(self) -> Tally:
        """An empty tally of an epoch, on the device."""
        return Tally.of(self.count, self.run.device)

    def values(self, tally: Tally, number: int) -> dict[str, float]:
        """The metrics of epoch ``number``, which the tally has counted.

        Raises:
            WnError: a loss was not finite.
        """
        tally.check_finite(number)
        norm = {"gradient_norm": float(tally.norms.double().mean())} if self.gradient_norm else {}
        return {f"train/{key}": value for key, value in (tally.running() | norm).items()}

    @property
    def count(self) -> int:
        """Steps in an epoch: a last batch of fewer images than batch norm needs, two for each process, is left out."""
        fewest = 2 * parallel.world() if agreement.norms(self.net) else 2
        whole, last = divmod(len(self.split), self.config.batch_size)
        return whole + (last > 0 and (last >= fewest or whole == 0))

    def criterion(self, logits: Tensor, y: Tensor) -> Tensor:
        """The mean loss over a batch."""
        return self.loss(logits, y) if self.loss else F.cross_entropy(logits, y, label_smoothing=self.config.label_smoothing)

    def _step(self, x: Tensor, y: Tensor, whole: int, norm: Tensor | None) -> tuple[Tensor, Tensor] | None:
        """One optimiser step on this process's part of a batch of ``whole``; logits and loss before it, None of no images.

        Where ``norm`` () is given, that of the gradient of all parameters is written to it.
        """
        if self.config.compile:
            refresh(self.net)
        made = self._backward(x, y) if len(y) else None
        parallel.average_gradients(self.optimiser, len(y), whole)
        if norm is not None:
            norm.copy_(get_total_norm([p.grad for p in self.net.parameters() if p.grad is not None]))
        if made is None or made[1].requires_grad:  # else a schedule has nothing train in this epoch
            self.optimiser.step()
            self.optimiser.zero_grad()
        if whole % parallel.world():
            agreement.share_random()
        return made and (made[0].detach(), made[1].detach())

    def _backward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and loss, whose gradients are now the parameters'."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.config.amp):
            logits = self.forward(x)
            value = self.criterion(logits, y)
        if value.requires_grad:
            value.backward()
        return logits, value


@attrs.define(eq=False)
class Tally:
    """What the steps of an epoch add up to: the loss of each, times its images, and how many ``hits`` (2,) of how many.

    ``norms`` (steps,) are those of the gradients, where they are asked for.
    """

    losses: Tensor
    hits: Tensor
    norms: Tensor
    seen: int = 0
    together: int = 0
    """Images of all processes."""
    classes: int = 0

    @classmethod
    def of(cls, steps: int, device: torch.device | str) -> Tally:
        """An empty one, on the device."""
        losses, norms = torch.zeros(2, steps, device=device)
        return cls(losses, torch.zeros(2, dtype=torch.int64, device=device), norms)

    @torch.no_grad()
    def add(self, step: int, made: tuple[Tensor, Tensor] | None, y: Tensor, whole: int) -> None:
        """Count a step, numbered from 0, with its logits and loss; they stay on the device."""
        self.together += whole
        if made is not None:
            logits, value = made
            self.losses[step] = value * len(y)
            self.hits += hits(logits, y)
            self.seen, self.classes = self.seen + len(y), logits.shape[1]

    def sum_up(self) -> None:
        """Add what the other processes counted."""
        self.losses, self.hits = parallel.total(self.losses.cpu()), parallel.total(self.hits.cpu())
        self.seen = self.together

    def running(self) -> dict[str, float]:
        """Mean loss and accuracies so far."""
        totals = torch.cat([self.losses.cpu().double().sum()[None], self.hits.cpu().double()])
        return means(totals, max(self.seen, 1), self.classes)

    def check_finite(self, epoch: int) -> None:
        """Refuse to go on from a loss that is not finite.

        Raises:
            WnError: naming the first step at which.
        """
        bad = (~self.losses.isfinite()).nonzero()
        if len(bad):
            raise WnError(
                f"the loss is no longer finite at step {int(bad[0]) + 1} of epoch {epoch}; lower --lr or raise --warmup "
                "(checkpoint.pt, if there is one, holds the last good state)"
            )
