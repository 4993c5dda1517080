"""Batch normalisation whose running variance is the batch's own, without Bessel's correction, as JAX libraries keep it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

MOMENTUM = 0.01
"""Weight of a batch in the running statistics: 1 minus the 0.99 that JAX libraries call momentum."""


class _Biased(_BatchNorm):
    """Moves the running variance towards ``mean((x - mean(x))**2)`` of the batch.

    ``torch.nn`` multiplies this by n/(n-1), where n is the number of values of a channel in a batch. All else is torch's: the
    classes, the state dict, what evaluation computes. Buffers change in place, so stacked ones work under ``torch.func.vmap``.
    """

    def __init__(self, features: int) -> None:
        super().__init__(features, eps=1e-5, momentum=MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (n, features, ...).

        Raises:
            ValueError: in training, where a channel has one value only.
        """
        if not self.training or self.running_var is None or self.num_batches_tracked is None:
            return super().forward(x)
        self._check_input_dim(x)
        share = x.size(1) / x.numel()  # 1/n
        moved = self.running_var.clone()
        normalised = F.batch_norm(x, self.running_mean, moved, self.weight, self.bias, True, MOMENTUM, self.eps)
        # What moved has of the batch is n/(n-1) times too much; of the rest it has 1 - MOMENTUM, as is wanted.
        self.running_var.mul_(share * (1 - MOMENTUM)).add_(moved, alpha=1 - share)
        self.num_batches_tracked.add_(1)
        return normalised


class BatchNorm1d(_Biased, nn.BatchNorm1d):
    """:class:`_Biased` for ``(n, features)`` and ``(n, features, length)``."""


class BatchNorm2d(_Biased, nn.BatchNorm2d):
    """:class:`_Biased` for ``(n, features, height, width)``."""
