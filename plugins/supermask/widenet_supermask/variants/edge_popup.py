"""Edge-popup: the weights with the largest scores, and a gradient that passes the choice straight through."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from widenet.kernels.straight import straight_through
from widenet.masks import factor
from widenet_supermask.ranked import Scored


class EdgePopup(Scored):
    """``weight * mask``, the mask keeping the largest ``|score|`` (Ramanujan et al. 2020, section 3)."""

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with all but the kept entries zero."""
        return Popup.apply(weight, self.scores, self)


class Popup(torch.autograd.Function):
    """d/dscore as of :func:`straight_through`; d/dweight = d/d(weight * mask) * mask."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scores: Tensor, popup: Scored) -> Tensor:
        """The masked weight."""
        product = popup.masked(weight)
        ctx.save_for_backward(weight, scores, *([popup.mask] if ctx.needs_input_grad[0] else []))
        return product

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Gradients of weight and scores."""
        weight, scores, *mask = ctx.saved_tensors
        to_weight = gradients[0] * factor(mask[0], weight) if ctx.needs_input_grad[0] else None
        to_scores = straight_through(scores, weight, gradients[0]) if ctx.needs_input_grad[1] else None
        return to_weight, to_scores, None
