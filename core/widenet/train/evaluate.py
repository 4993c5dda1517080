"""Loss and accuracy of a network on a split."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from widenet.train import agreement, parallel

TOP = 5


@torch.inference_mode()
def evaluate(net: nn.Module, split: Any, batch_size: int = 256, amp: bool = False) -> dict[str, float]:
    """Mean cross-entropy (nats) and accuracy (a fraction) of ``net`` in evaluation mode; its mode is put back.

    With more than five classes also ``top5``: the fraction of samples whose class is among the five likeliest. Processes that
    train together share the work, so all must call it; the result is the same in each.

    Args:
        net: maps ``(n, *shape)`` to ``(n, classes)`` logits.
        split: a split of a :class:`~widenet.data.Data`, on the network's device.
    """
    was_training = net.training
    net.eval()
    totals, classes = torch.zeros(3, dtype=torch.float64), 0
    # Masked weights are multiplied out once here, not once a batch.
    with parametrize.cached():
        for x, y, _ in parallel.batches(split, batch_size * parallel.world()):
            if not len(y):
                continue
            with torch.autocast(x.device.type, torch.bfloat16, enabled=amp):
                logits = net(x)
            loss = F.cross_entropy(logits.float(), y, reduction="sum").double()
            totals, classes = totals.to(x.device) + torch.cat([loss[None], hits(logits, y).double()]), logits.shape[1]
    net.train(was_training)
    agreement.share_random()
    return parallel.from_leading(means(parallel.total(totals.cpu()), len(split), classes))


def hits(logits: Tensor, y: Tensor) -> Tensor:
    """How many of ``y`` (n,) are the likeliest class, and among the five likeliest, by ``logits`` (n, classes): int64 (2,).

    Of several networks, ``y`` (K, n) and ``logits`` (K, n, classes), it is (2, K).
    """
    right = logits.topk(min(TOP, logits.shape[-1]), -1).indices == y[..., None]
    return torch.stack([right[..., 0].sum(-1), right.sum((-2, -1))])


def means(totals: Tensor, count: int, classes: int) -> dict[str, float]:
    """Metrics of ``count`` samples from their summed loss and hits ``totals`` (3,)."""
    loss, first, among = (totals / count).tolist()
    return {"loss": loss, "accuracy": first, **({"top5": among} if classes > TOP else {})}
