"""Stochastic supermasks: every weight is kept with a probability of its own, drawn anew in each forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from widenet.masks import factor, modules
from widenet.train import evaluate


class Sample(nn.Module):
    """``weight * m`` with ``m = 1`` where a uniform draw is below ``sigmoid(score)``; in evaluation the expected mask.

    So how much is kept is learned too. Source: Zhou, Lan, Liu and Yosinski, "Deconstructing Lottery Tickets", NeurIPS 2019,
    section 5.

    Args:
        scores: first scores, float, of the weight's shape; they become the parameter that is trained.
    """

    mask: Tensor
    drawn = True
    """The mask is one of many: what changes from draw to draw is no change of the network's."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores)
        self.sampling = False
        """Whether evaluation draws masks too."""
        self.register_buffer("mask", torch.ones_like(scores, dtype=torch.bool))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight under a mask drawn now; in evaluation, unless ``sampling``, the weight times its probability."""
        if self.training or self.sampling:
            return sample_weight(weight, self.scores, torch.rand_like(self.scores), self.mask)
        return weight * self.scores.sigmoid()

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> Tensor:
        """A bool mask from a generator on the CPU."""
        uniform = torch.rand(self.scores.shape, generator=generator).to(self.scores.device)
        return uniform < self.scores.sigmoid()


def sample_weight(weight: Tensor, scores: Tensor, uniform: Tensor, mask: Tensor | None = None) -> Tensor:
    """``weight * (uniform < sigmoid(scores))``, with gradients as if the comparison were ``sigmoid(scores)`` itself.

    ``mask`` is a bool buffer for the comparison.
    """
    return _Sampled.apply(weight, scores, uniform, torch.empty_like(scores, dtype=torch.bool) if mask is None else mask)


class _Sampled(torch.autograd.Function):
    """d/dscore = d/d(weight * m) * weight * p (1 - p) with p = sigmoid(score); d/dweight = d/d(weight * m) * m."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scores: Tensor, uniform: Tensor, mask: Tensor) -> Tensor:
        probability = scores.sigmoid()
        torch.lt(uniform, probability, out=mask)
        ctx.save_for_backward(weight, probability, *([mask.clone()] if ctx.needs_input_grad[0] else []))
        return weight * factor(mask, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        weight, probability, *mask = ctx.saved_tensors
        to_weight = gradients[0] * factor(mask[0], weight) if ctx.needs_input_grad[0] else None
        to_scores = (1 - probability).mul_(probability).mul_(weight).mul_(gradients[0]) if ctx.needs_input_grad[1] else None
        return to_weight, to_scores, None, None


def stochastic(net: nn.Module) -> dict[str, Sample]:
    """Module path -> stochastic mask."""
    return {name: mask for name, mask in modules(net).items() if isinstance(mask, Sample)}


def over_samples(count: int) -> Callable[..., dict[str, float]]:
    """An evaluation that draws ``count`` masks and returns the mean of each metric; arguments as of ``evaluate``."""

    def measure(net: nn.Module, split: Any, **options: Any) -> dict[str, float]:
        for mask in stochastic(net).values():
            mask.sampling = True
        found = [evaluate(net, split, **options) for _ in range(count)]
        for mask in stochastic(net).values():
            mask.sampling = False
        return {key: sum(metrics[key] for metrics in found) / count for key in found[0]}

    return measure
