"""Loss and accuracy of a network on a split."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize


@torch.inference_mode()
def evaluate(net: nn.Module, split: Any, batch_size: int = 256, amp: bool = False) -> dict[str, float]:
    """Mean cross-entropy (nats) and accuracy (a fraction) of ``net`` in evaluation mode; its mode is put back.

    Args:
        net: maps ``(n, *shape)`` to ``(n, classes)`` logits.
        split: a split of a :class:`~widenet.data.Data`, on the network's device.
    """
    was_training = net.training
    net.eval()
    totals = None
    # Masked weights are multiplied out once here, not once a batch.
    with parametrize.cached():
        for x, y in split.batches(batch_size):
            with torch.autocast(x.device.type, torch.bfloat16, enabled=amp):
                logits = net(x)
            loss = F.cross_entropy(logits.float(), y, reduction="sum").double()
            correct = (logits.argmax(1) == y).sum().double()
            batch = torch.stack([loss, correct])
            totals = batch if totals is None else totals + batch
    net.train(was_training)
    loss_sum, right = (totals / len(split)).tolist() if totals is not None else (float("nan"), float("nan"))
    return {"loss": loss_sum, "accuracy": right}
