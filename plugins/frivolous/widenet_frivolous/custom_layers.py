"""What networks are built of that PyTorch has not, or has under another name."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from widenet_frivolous.options import Activation

LEAK = 0.2
"""Slope of leaky ReLU below 0, TensorFlow's default."""


class SamePool(nn.Module):
    """Maximum over 3x3 windows of stride 2, as TensorFlow's SAME padding places them.

    Maps ``(n, c, h, w)`` to ``(n, c, ceil(h / 2), ceil(w / 2))``. Even sides are padded at their end alone, where PyTorch's
    ``padding=1`` would pad both ends and so look at other windows.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Pool."""
        odd = (x.shape[2] % 2, x.shape[3] % 2)
        return F.max_pool2d(x, 3, 2, padding=odd, ceil_mode=True)


class ResponseNorm(nn.Module):
    """Local response normalisation: ``x / (1 + 2e-5 * sum of the squares of 5 channels)**0.75``, of ``(n, c, h, w)``.

    The same as ``nn.LocalResponseNorm(5, alpha=1e-4)``, which divides alpha by 5 and pools in three dimensions: several times
    slower on a CPU. Square roots in place of the power also round alike in batches of any size.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each position over the two channels on either side."""
        values = x.movedim(1, -1)  # channels_last memory: neighbours lie side by side
        squares, channels = F.pad(values.square(), (2, 2)), x.shape[1]
        total = squares[..., :channels]
        for first in range(1, 5):
            total = total + squares[..., first : first + channels]
        root = (1 + 2e-5 * total).sqrt()
        return (values / (root * root.sqrt())).movedim(-1, 1)


def make_activation(name: Activation | str) -> nn.Module:
    """The module for an activation by name; ``linear`` changes nothing."""
    if name == "leaky-relu":
        return nn.LeakyReLU(LEAK)
    kinds = {
        "relu": nn.ReLU,
        "elu": nn.ELU,
        "selu": nn.SELU,
        "sigmoid": nn.Sigmoid,
        "tanh": nn.Tanh,
        "linear": nn.Identity,
    }
    return kinds[name]()


def scaled(size: int, width: float) -> int:
    """``int(size * width)``, as the original truncates, but at least 1."""
    return max(1, int(size * width))
