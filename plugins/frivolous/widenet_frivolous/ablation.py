"""Ablation curves: what a network under many perturbations still says, from one pass over the data.

Each batch passes the intact network once. What lies behind a perturbed layer is then run for each perturbation, or for several
in a row where they are small, and what lies before it is not run again. :func:`one_by_one` is the textbook form, the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widenet_frivolous.perturb import Condition
from widenet_frivolous.points import Change, Point, calls, changed, evaluating
from widenet_frivolous.replay import Kept, Plan, intact, planned, replay

LOOK = 2
"""Samples by which it is found out how a network can be replayed."""
IMAGES, ELEMENTS = 256, 2**19
"""On a CPU, perturbations go together up to so many samples, or values at the point; beyond it maps fall out of the cache."""
GPU_IMAGES = 4096
"""The same on a GPU."""
MARGIN = 1e-4
"""Lead of a likeliest class, relative to the largest logit, that rounding does not turn over."""


@attrs.frozen(eq=False)
class Target:
    """Points that are perturbed at once, and the perturbations of them to measure."""

    points: tuple[Point, ...]
    conditions: tuple[Condition, ...]


@attrs.define(eq=False)
class Measured:
    """Of each condition: samples of the intact network's class, right samples (int64 (C,)), and summed KL in nats (C,)."""

    agree: Tensor
    right: Tensor
    kl: Tensor
    samples: int = 0
    intact: int = 0
    """Samples that the intact network has right."""

    @classmethod
    def none_yet(cls, count: int) -> Measured:
        """Nothing, of so many conditions."""
        agree, right = torch.zeros(2, count, dtype=torch.int64)
        return cls(agree, right, torch.zeros(count, dtype=torch.float64))

    def add(self, number: int, logits: Tensor, labels: Tensor, plain: Tensor) -> None:
        """Take in a batch's logits under a condition, beside the intact ones (n, classes); one row stands for all."""
        found = logits.argmax(1)
        self.agree[number] += int((found == plain.argmax(1)).sum())
        self.right[number] += int((found == labels).sum())
        of_plain = F.log_softmax(plain.double(), 1)
        self.kl[number] += float((of_plain.exp() * (of_plain - F.log_softmax(logits.double(), 1))).sum())

    @property
    def agreement(self) -> list[float]:
        """Fraction of the samples to which the intact network gives the same class."""
        return (self.agree.double() / self.samples).tolist()

    @property
    def accuracy(self) -> list[float]:
        """Fraction of the samples that is right."""
        return (self.right.double() / self.samples).tolist()

    @property
    def divergence(self) -> list[float]:
        """Mean KL divergence of the perturbed class probabilities from the intact ones, in nats."""
        return (self.kl / self.samples).tolist()


class Ablation:
    """Perturbations of a network, measured on a split; how it can be replayed is found out once for each target.

    Args:
        net: maps (n, *shape) to logits (n, classes); it is put in evaluation mode for each pass.
        split: read in order, without augmentation.
        batch_size: samples of a batch; one more where the last batch would be a single sample.
        reuse: whether to run only what lies behind a point; else each perturbation takes a whole forward pass.
    """

    def __init__(self, net: nn.Module, split: Any, batch_size: int = 128, reuse: bool = True) -> None:
        self.net, self.split, self.reuse = net, split, reuse
        self.batch_size = fitting(len(split), batch_size)
        self._plans: dict[tuple[Point, ...], Plan] = {}
        self.look: Tensor = next(iter(split.batches(LOOK)))[0]
        with evaluating(net):
            self.calls = calls(net, self.look)

    def plan(self, points: Sequence[Point]) -> Plan:
        """How what lies behind these points is run."""
        key = tuple(points)
        if key not in self._plans:
            with evaluating(self.net):
                self._plans[key] = planned(self.net, self.look, self.calls, key) if self.reuse else Plan(key, "whole", {})
        return self._plans[key]

    @torch.inference_mode()
    def measure(self, targets: Sequence[Target], progress: Callable[[int, int], None] | None = None) -> list[Measured]:
        """Measure the conditions of all targets in one pass over the split."""
        plans = [self.plan(target.points) for target in targets]
        everywhere = any(condition.needs_intact for target in targets for condition in target.conditions)
        made = [Measured.none_yet(len(target.conditions)) for target in targets]
        constants = [self._constants(target, plan) for target, plan in zip(targets, plans, strict=True)]
        right = gone = 0
        with evaluating(self.net, not any(condition.alone for target in targets for condition in target.conditions)):
            for number, (x, labels) in enumerate(self.split.batches(self.batch_size)):
                kept = intact(self.net, x, plans, everywhere)
                right += int((kept.logits.argmax(1) == labels).sum())
                for target, plan, found, constant in zip(targets, plans, made, constants, strict=True):
                    for place, logits in self._replayed(target, plan, kept, number, constant):
                        found.add(place, logits, labels, kept.logits)
                gone += len(labels)
                if progress is not None:
                    progress(gone, len(self.split))
        return [attrs.evolve(found, samples=gone, intact=right) for found in made]

    def _replayed(
        self, target: Target, plan: Plan, kept: Kept, number: int, constant: dict[int, Tensor]
    ) -> Iterator[tuple[int, Tensor]]:
        """The place of each condition and a batch's logits under it."""
        left = [place for place in range(len(target.conditions)) if place not in constant]
        yield from constant.items()
        size = _together(kept.values[plan.first.name]) if plan.apart else 1
        while left:
            some = left[:1] if target.conditions[left[0]].alone else left[:size]
            chosen = [target.conditions[place] for place in some]
            changes = [_change(self.net, point.name, chosen, number, kept) for point in plan.points]
            with chosen[0].within(self.net):
                logits = replay(self.net, kept, plan, changes, len(some))
            yield from zip(some, logits.chunk(len(some)), strict=True)
            left = left[len(some) :]

    def _constants(self, target: Target, plan: Plan) -> dict[int, Tensor]:
        """The logits (1, classes) of conditions under which they are the same for every sample, from one sample.

        So it is only where the samples reach the logits through one point, at which nothing of them is left, and do not
        depend on one another; and where no class is so close to the likeliest that rounding may decide.
        """
        found: dict[int, Tensor] = {}
        if not plan.apart:
            return found
        for place, condition in enumerate(target.conditions):
            if not condition.alone and condition.constant(plan.first.name):
                with evaluating(self.net):
                    kept = intact(self.net, self.look[:1], [plan])
                    logits = replay(
                        self.net, kept, plan, [_change(self.net, p.name, [condition], 0, kept) for p in plan.points]
                    )
                if _clear(logits):
                    found[place] = logits
        return found


@torch.inference_mode()
def one_by_one(net: nn.Module, split: Any, target: Target, batch_size: int = 128) -> Measured:
    """The textbook way: a full evaluation of the intact network, and one of each condition, by hooks alone."""
    size = fitting(len(split), batch_size)
    made = Measured.none_yet(len(target.conditions))
    with evaluating(net):
        plain = [net(x.clone()) for x, _ in split.batches(size)]
        right = sum(int((p.argmax(1) == y).sum()) for p, (_, y) in zip(plain, split.batches(size), strict=True))
        points = target.points if any(condition.needs_intact for condition in target.conditions) else ()
        whole = [Plan(points, "whole", {})]
        for place, condition in enumerate(target.conditions):
            for number, (x, labels) in enumerate(split.batches(size)):
                kept = intact(net, x, whole, bool(points)) if points else Kept(x)
                changes = [(point, _change(net, point.name, [condition], number, kept)) for point in target.points]
                with condition.within(net), changed(net, changes):
                    made.add(place, net(x.clone()), labels, plain[number])
    return attrs.evolve(made, samples=len(split), intact=right)


def fitting(samples: int, size: int) -> int:
    """The smallest batch size from ``size`` on that leaves no last batch of a single sample, unless there is but one."""
    while size < samples and samples % size == 1:
        size += 1
    return size


def _change(net: nn.Module, name: str, conditions: Sequence[Condition], batch: int, kept: Kept) -> Change:
    """The change at a point under each of several conditions, one batch behind the other."""

    def change(value: Tensor) -> Tensor | None:
        known = kept.values.get(name)
        if len(conditions) == 1:
            return conditions[0].change(net, name, value, batch, known)
        # The first point is given one batch for all, the others what became of it under each condition.
        several = len(value) == len(conditions) * len(kept.x)
        parts = value.chunk(len(conditions)) if several else [value] * len(conditions)
        new = [each.change(net, name, part, batch, known) for each, part in zip(conditions, parts, strict=True)]
        return torch.cat([part if made is None else made for made, part in zip(new, parts, strict=True)])

    return change


def _together(value: Tensor) -> int:
    """How many perturbations of a value (n, ...) go together."""
    if value.device.type != "cpu":
        return max(1, GPU_IMAGES // len(value))
    return max(1, IMAGES // len(value), ELEMENTS // max(1, value.numel()))


def _clear(logits: Tensor) -> bool:
    """Whether the likeliest class of one sample leads by more than rounding."""
    if logits.shape[1] < 2 or not bool(logits.isfinite().all()):
        return False
    first, second = logits[0].topk(2).values.tolist()
    return bool(first - second > MARGIN * float(logits.abs().amax()))
