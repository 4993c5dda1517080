"""The mask of edge-popup: the weights with the largest scores, and a gradient that passes the choice straight through."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from widenet.kernels.select import Hint, topk_masked
from widenet.masks import Chosen


class EdgePopup(Chosen):
    """Keeps the fraction ``keep`` of a layer's weights, by largest ``|score|`` (Ramanujan et al. 2020, section 3).

    Args:
        scores: initial scores, float, of the weight's shape; they become the parameter that is trained.
        keep: fraction kept, in (0, 1].
    """

    def __init__(self, scores: Tensor, keep: float) -> None:
        super().__init__(scores)
        self.scores = nn.Parameter(scores)
        self.keep = keep
        self.hint = Hint()

    def choose(self, weight: Tensor) -> None:
        """Write the mask of the current scores."""
        topk_masked(weight, self.scores, self.keep, mask=self.mask, hint=self.hint)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with all but the kept entries zero."""
        return _Popup.apply(weight, self.scores, self)


class _Popup(torch.autograd.Function):
    """``weight * mask``, with d/dscore = d/d(weight * mask) * weight * sign(score), and sign(0) = 0."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scores: Tensor, chosen: EdgePopup) -> Tensor:
        ctx.save_for_backward(weight, scores)
        if not chosen.stale():
            return weight * chosen.mask
        # One sweep over the scores gives the mask and the product.
        _, masked = topk_masked(weight, scores, chosen.keep, mask=chosen.mask, hint=chosen.hint)
        chosen.chosen()
        return masked

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None]:
        weight, scores = ctx.saved_tensors
        return None, scores.sign().mul_(weight).mul_(gradients[0]), None
