"""The signed supermask: kept weights take the sign of their score, so that a mask has the values -1, 0 and 1."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from widenet.masks import factor
from widenet_supermask.ranked import Scored


class Signed(Scored):
    """``weight * sign(score) * mask``, the mask keeping the largest ``|score|``.

    Source: the first public version of the code of Ramanujan et al. 2020.
    """

    def forward(self, weight: Tensor) -> Tensor:
        """The kept weights, turned where their score is negative."""
        return _Signed.apply(weight, self.scores, self)


class _Signed(torch.autograd.Function):
    """d/dscore = d/d(effective weight) * weight; d/dweight = d/d(effective weight) * sign(score) * mask."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scores: Tensor, signed: Signed) -> Tensor:
        masked = signed.masked(weight)
        ctx.save_for_backward(weight, scores, *([signed.mask] if ctx.needs_input_grad[0] else []))
        return masked.mul_(scores.sign())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        weight, scores, *mask = ctx.saved_tensors
        to_weight = scores.sign().mul_(factor(mask[0], weight)).mul_(gradients[0]) if ctx.needs_input_grad[0] else None
        to_scores = gradients[0] * weight if ctx.needs_input_grad[1] else None
        return to_weight, to_scores, None
