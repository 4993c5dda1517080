"""Right answers at every number of units a class in PyTorch alone: the reference, and what runs on a GPU."""

from __future__ import annotations

import torch
from torch import Tensor

PRODUCTS = 1 << 20
"""Products (samples x classes x ranks) that exist at a time; together with their prefix sums' copies about 16 MB."""


def right_torch(x: Tensor, labels: Tensor, weight: Tensor, bias: Tensor, ranking: Tensor) -> Tensor:
    """Count the samples whose label has the highest logit, the lowest class winning ties.

    Args:
        x: (N, F), a float dtype.
        labels: int64 (N,).
        weight: float64 (C, K), by rank.
        bias: float64 (C,).
        ranking: int64 (C, K), the unit of each rank.

    Returns:
        int64 (K,).
    """
    right = torch.zeros(ranking.shape[1], dtype=torch.int64, device=x.device)
    rows = max(1, PRODUCTS // ranking.numel())
    for block, answers in zip(x.split(rows), labels.split(rows), strict=True):
        logits = block.double().index_select(1, ranking.flatten()).view(-1, *ranking.shape).mul_(weight)
        logits[..., 0] += bias
        right += (logits.cumsum_(-1).argmax(1) == answers[:, None]).sum(0)
    return right
