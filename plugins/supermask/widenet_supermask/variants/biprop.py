"""Binarised subnetworks: the kept weights of a layer are all plus or minus one value."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from widenet_supermask.ranked import Scored
from widenet_supermask.variants.edge_popup import Popup


class Biprop(Scored):
    """``sign(weight) * mask * a``, where ``a`` is the mean |weight| of the kept ones; the mask keeps the largest ``|score|``.

    Source: Diffenderfer and Kailkhura, "Multi-Prize Lottery Ticket Hypothesis", ICLR 2021, section 3 (biprop). Their code
    divides by ``int(keep n)``, one less than is kept where that is no whole number; here it is the number kept.
    """

    def forward(self, weight: Tensor) -> Tensor:
        """The kept weights, binarised."""
        return _Binarised.apply(weight, self.scores, self)


class _Binarised(Popup):
    """Gradients as of edge-popup, as if nothing were binarised."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scores: Tensor, popup: Scored) -> Tensor:
        """The masked weight, binarised."""
        masked = popup.masked(weight)
        ctx.save_for_backward(weight, scores, *([popup.mask] if ctx.needs_input_grad[0] else []))
        scale = masked.abs().sum() / popup.mask.count_nonzero().clamp(min=1)
        return masked.sign_().mul_(scale)
