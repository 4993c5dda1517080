"""Iterative randomisation: edge-popup under which dropped weights are drawn anew from time to time."""

from __future__ import annotations

import torch
from torch import Tensor

from widenet_supermask.variants.edge_popup import EdgePopup


class Iterand(EdgePopup):
    """Edge-popup whose weights :func:`redraw` changes between steps.

    Source: Chijiwa, Yamaguchi, Ida, Umakoshi and Inoue, "Pruning Randomly Initialized Neural Networks with Iterative
    Randomization", NeurIPS 2021, section 3.
    """


@torch.no_grad()
def redraw(weight: Tensor, mask: Tensor, rate: float, fresh: Tensor, generator: torch.Generator) -> None:
    """Replace, in place, each dropped weight with probability ``rate`` by a fresh one; kept weights stay.

    Args:
        weight: the weight under the mask.
        mask: bool, True where kept.
        rate: fraction of the dropped weights that is replaced, on average.
        fresh: weights drawn anew, on the CPU.
        generator: on the CPU.
    """
    chosen = torch.rand(weight.shape, generator=generator) < rate
    weight.copy_(torch.where(chosen.to(mask.device) & ~mask, fresh.to(weight.device), weight))
