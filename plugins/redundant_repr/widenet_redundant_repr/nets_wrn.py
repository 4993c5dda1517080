"""Wide ResNets whose last hidden representation is the average pool of a batch norm (Zagoruyko and Komodakis 2016)."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from widenet_redundant_repr.options import Wrn

REDUCTION = 8
"""Channels for each unit in the middle of a squeeze-and-excitation."""


class SqueezeExcite(nn.Module):
    """Scales the channels of ``(n, channels, h, w)`` by factors from 0 to 1 of their means (Hu et al. 2018), without biases."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = max(1, channels // REDUCTION)
        self.squeeze = nn.Linear(channels, middle, bias=False)
        self.excite = nn.Linear(middle, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Scale."""
        factors = self.excite(self.squeeze(x.mean((2, 3))).relu()).sigmoid()
        return x * factors[:, :, None, None]


class Block(nn.Module):
    """Pre-activation residual block; its shortcut leaves from the raw input.

    Maps ``(n, inputs, h, w)`` to ``(n, planes, ceil(h / stride), ceil(w / stride))``.
    """

    def __init__(self, inputs: int, planes: int, stride: int, config: Wrn) -> None:
        super().__init__()
        kernel, pad, pyramid = config.kernel, config.kernel // 2, config.block == "pyramid"
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.Identity() if pyramid else nn.ReLU()
        self.conv1 = nn.Conv2d(inputs, planes, kernel, stride, pad, bias=False)
        self.dropout = nn.Dropout2d(config.dropout) if config.dropout else nn.Identity()
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(planes, planes, kernel, padding=pad, bias=False)
        self.bn3 = nn.BatchNorm2d(planes) if pyramid else nn.Identity()
        self.se = SqueezeExcite(planes) if config.se else nn.Identity()
        self.stride = stride
        keeps = stride == 1 and inputs == planes
        self.downsample = nn.Sequential() if keeps else nn.Sequential(nn.Conv2d(inputs, planes, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Add the block's path to its shortcut."""
        out = self.dropout(self.conv1(self.relu1(self.bn1(x))))
        out = self.se(self.bn3(self.conv2(self.relu2(self.bn2(out)))))
        # Strided 1x1 convolutions of few channels_last channels crash in oneDNN's backward pass; this is the same.
        return out + self.downsample(x[:, :, :: self.stride, :: self.stride])


def wide_resnet(channels: int, classes: int, blocks: int, config: Wrn) -> nn.Sequential:
    """Build ``conv0``, ``group0`` to ``group2`` of ``blocks`` blocks each, ``bn``, ``avgpool`` and the read-out ``fc``.

    Maps ``(n, channels, h, w)`` to ``(n, classes)`` logits; ``avgpool`` gives the representation ``(n, W, 1, 1)`` with
    W = 4 * stem * k. With ``last_width`` the very last block has that many channels and the rest stays as it is: a 1x1
    convolution before the pool would do less, as the mean over the image of what it adds is linear in what is there.
    """
    widths = [config.stem * config.k * factor for factor in (1, 2, 4) for _ in range(blocks)]
    widths[-1] = config.features
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv0"] = nn.Conv2d(channels, config.stem, config.kernel, padding=config.kernel // 2, bias=False)
    inputs = config.stem
    for number in range(3):
        group = nn.Sequential()
        for index, planes in enumerate(widths[number * blocks : (number + 1) * blocks]):
            group.append(Block(inputs, planes, 2 if number and not index else 1, config))
            inputs = planes
        parts[f"group{number}"] = group
    parts["bn"] = nn.BatchNorm2d(inputs)
    if config.relu:
        parts["relu"] = nn.ReLU()
    parts |= {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(inputs, classes)}
    net = nn.Sequential(parts)
    _initialise(net)
    return net


@torch.no_grad()
def _initialise(net: nn.Module) -> None:
    """Kaiming-normal weights over the fan-in, no biases, and batch norm scales drawn uniformly from 0 to 1."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight)
