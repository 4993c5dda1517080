"""DenseNets with bottlenecks and compression whose last hidden representation is the average pool of a batch norm."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from widenet import UsageError

if TYPE_CHECKING:
    from widenet_redundant_repr.options import DenseNet

Parts = OrderedDict[str, nn.Module]
BLOCKS = 3
BOTTLENECK = 4
"""Channels between a layer's convolutions for each that it adds."""


class DenseLayer(nn.Sequential):
    """Appends ``growth`` channels made of its input to the input (Huang et al. 2017).

    Maps ``(n, inputs, h, w)`` to ``(n, inputs + growth, h, w)``.
    """

    def __init__(self, inputs: int, growth: int, kernel: int, dropout: float) -> None:
        middle = BOTTLENECK * growth
        parts: Parts = OrderedDict()
        parts["norm1"] = nn.BatchNorm2d(inputs)
        parts["relu1"] = nn.ReLU()
        parts["conv1"] = nn.Conv2d(inputs, middle, 1, bias=False)
        parts["norm2"] = nn.BatchNorm2d(middle)
        parts["relu2"] = nn.ReLU()
        parts["conv2"] = nn.Conv2d(middle, growth, kernel, padding=kernel // 2, bias=False)
        if dropout:
            parts["dropout"] = nn.Dropout(dropout)
        super().__init__(parts)

    def forward(self, x: Tensor) -> Tensor:
        """Append."""
        return torch.cat([x, super().forward(x)], 1)


def densenet(channels: int, classes: int, layers: int, config: DenseNet) -> nn.Sequential:
    """Build ``features`` (a stem, three dense blocks of ``layers`` layers, ``norm5``), ``avgpool`` and ``classifier``.

    Maps ``(n, channels, h, w)`` to ``(n, classes)`` logits; ``avgpool`` gives the representation ``(n, W, 1, 1)`` with
    W = 5.5 n for 6 layers and even n. With ``last_width`` the very last layer adds what is missing to it, in place of n // 2.
    Parts are called as torchvision calls those of its DenseNets.

    Raises:
        UsageError: ``last_width`` leaves the last layer nothing to add.
    """
    parts, inputs, growth = _stem(channels, config), config.n, config.n // 2
    for number in range(1, BLOCKS + 1):
        growths = [growth] * layers
        if number == BLOCKS and config.last_width is not None:
            growths[-1] = config.last_width - inputs - (layers - 1) * growth
            if growths[-1] < 1:
                raise UsageError(
                    f"last_width {config.last_width} leaves the last layer nothing to add: give at least "
                    f"{config.last_width - growths[-1] + 1}, or a smaller n"
                )
        block: Parts = OrderedDict()
        for index, grown in enumerate(growths, 1):
            block[f"denselayer{index}"] = DenseLayer(inputs, grown, config.kernel, config.dropout)
            inputs += grown
        parts[f"denseblock{number}"] = nn.Sequential(block)
        if number < BLOCKS:
            parts[f"transition{number}"] = _transition(inputs)
            inputs //= 2
    parts["norm5"] = nn.BatchNorm2d(inputs)
    if config.relu:
        parts["relu5"] = nn.ReLU()
    head = {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "classifier": nn.Linear(inputs, classes)}
    net = nn.Sequential(OrderedDict(features=nn.Sequential(parts), **head))
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
    return net


def _stem(channels: int, config: DenseNet) -> Parts:
    large = config.stem == "imagenet"
    kernel, stride = (7, 2) if large else (config.kernel, 1)
    parts: Parts = OrderedDict(conv0=nn.Conv2d(channels, config.n, kernel, stride, kernel // 2, bias=False))
    parts |= {"norm0": nn.BatchNorm2d(config.n), "relu0": nn.ReLU()}
    if large:
        parts["pool0"] = nn.MaxPool2d(3, 2, 1)
    return parts


def _transition(inputs: int) -> nn.Sequential:
    """Halve the channels, the height and the width, rounded down."""
    conv = nn.Conv2d(inputs, inputs // 2, 1, bias=False)
    return nn.Sequential(OrderedDict(norm=nn.BatchNorm2d(inputs), relu=nn.ReLU(), conv=conv, pool=nn.AvgPool2d(2)))
