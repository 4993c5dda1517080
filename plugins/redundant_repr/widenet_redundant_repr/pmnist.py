"""Fully connected networks of one output for the parity of digits, and the loss they are trained by."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class FullyConnected(nn.Module):
    """Hidden layers ``linear_body``, each with a ReLU, and the read-out ``linear_out``.

    Maps ``(n, ...)`` float32 of ``inputs`` values a sample to logits ``(n, outputs)``, or to ``(n, 2)``, zero and f, where the
    read-out gives one value f. ``linear_body`` gives the representation ``(n, hidden[-1])``, which is nowhere negative. First
    weights are orthogonal, biases 0, and the scales of batch norm uniform from 0 to 1.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, batch_norm: bool, dropout: float) -> None:
        super().__init__()
        self.linear_body = nn.Sequential()
        for width in hidden:
            self.linear_body.append(nn.Linear(inputs, width))
            if batch_norm:
                self.linear_body.append(nn.BatchNorm1d(width))
            self.linear_body.append(nn.ReLU())
            if dropout:
                self.linear_body.append(nn.Dropout(dropout))
            inputs = width
        self.linear_out = nn.Linear(inputs, outputs)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm1d):
                nn.init.uniform_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        out = self.linear_out(self.linear_body(x.flatten(1)))
        return F.pad(out, (1, 0)) if out.shape[1] == 1 else out


def squared_hinge(logits: Tensor, labels: Tensor) -> Tensor:
    """Half the mean of ``max(0, 1 - y f)**2``, with f = ``logits[:, 1] - logits[:, 0]`` and y = 1 for label 1, -1 for label 0.

    Args:
        logits: float (n, 2).
        labels: int64 (n,), 0 or 1.
    """
    f = logits[:, 1] - logits[:, 0]
    return (1 - (2 * labels - 1) * f).relu().square().mean() / 2
