"""Discovered neural wirings: the largest weights are used, all of them are trained."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from widenet_supermask.ranked import Ranked


class Dnw(Ranked):
    """``weight * mask``, the mask keeping the largest ``|weight|``; dropped weights get a gradient too and may come back.

    Source: Wortsman, Farhadi and Rastegari, "Discovering Neural Wirings", NeurIPS 2019, section 3.
    """

    def ranked(self, weight: Tensor) -> Tensor:
        """The weights themselves."""
        return weight

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with all but the largest entries zero."""
        return _Wired.apply(weight, self)


class _Wired(torch.autograd.Function):
    """d/dweight = d/d(weight * mask) for every weight."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, dnw: Dnw) -> Tensor:
        return dnw.masked(weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None
