"""Binarised subnetworks: the kept weights of a layer are all plus or minus one value."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from widenet.kernels.straight import straight_through
from widenet.masks import factor
from widenet_supermask.ranked import Scored


class Biprop(Scored):
    """``sign(weight) * mask * a``, where ``a`` is the mean |weight| of the kept ones; the mask keeps the largest ``|score|``.

    Source: Diffenderfer and Kailkhura, "Multi-Prize Lottery Ticket Hypothesis", ICLR 2021, section 3 (biprop). Their code
    divides by ``int(keep n)``, one less than is kept where that is no whole number; here it is the number kept.
    """

    def forward(self, weight: Tensor) -> Tensor:
        """The kept weights, binarised."""
        return _Binarised.apply(weight, self.scores, self)


class _Binarised(torch.autograd.Function):
    """d/dscore as of :func:`straight_through`; d/dweight = d/d(effective weight) * mask, as if not binarised."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scores: Tensor, biprop: Biprop) -> Tensor:
        masked = biprop.masked(weight)
        ctx.save_for_backward(weight, scores, *([biprop.mask] if ctx.needs_input_grad[0] else []))
        scale = masked.abs().sum() / biprop.mask.count_nonzero().clamp(min=1)
        return masked.sign_().mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        weight, scores, *mask = ctx.saved_tensors
        to_weight = gradients[0] * factor(mask[0], weight) if ctx.needs_input_grad[0] else None
        to_scores = straight_through(scores, weight, gradients[0]) if ctx.needs_input_grad[1] else None
        return to_weight, to_scores, None
