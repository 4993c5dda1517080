"""Residual networks for small images, of any size: a 3x3 stem without pooling, global average pooling at the end.

Training needs at least two images a batch where the last feature map is 1x1, as any batch normalisation does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

Norm = Callable[[int], nn.Module]


class Subsample(nn.Module):
    """Shortcut without parameters: every ``stride``-th row and column, new channels zero (He et al. 2016, option A).

    Maps ``(n, inputs, h, w)`` to ``(n, outputs, ceil(h / stride), ceil(w / stride))``; half of the new channels come
    before the old ones, half after.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.before = (outputs - inputs) // 2
        self.after = outputs - inputs - self.before

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Subsample and pad."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


def projection(inputs: int, outputs: int, stride: int, norm: Norm) -> nn.Module:
    """Return a shortcut through a strided 1x1 convolution and normalisation (He et al. 2016, option B)."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs))


class Basic(nn.Module):
    """Two 3x3 convolutions around a shortcut; ``planes`` channels come out."""

    expansion = 1

    def __init__(self, inputs: int, planes: int, stride: int, norm: Norm, shortcut: nn.Module) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, padding=1, bias=False)
        self.bn1 = norm(planes)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = norm(planes)
        self.shortcut = shortcut
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(n, inputs, h, w)`` to ``(n, planes, ceil(h / stride), ceil(w / stride))``."""
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu2(out + self.shortcut(x))


class Bottleneck(nn.Module):
    """A 3x3 convolution between two of 1x1 around a shortcut; ``4 * planes`` channels come out."""

    expansion = 4

    def __init__(self, inputs: int, planes: int, stride: int, norm: Norm, shortcut: nn.Module) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = norm(planes)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, padding=1, bias=False)
        self.bn2 = norm(planes)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = norm(4 * planes)
        self.shortcut = shortcut
        self.relu3 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(n, inputs, h, w)`` to ``(n, 4 * planes, ceil(h / stride), ceil(w / stride))``."""
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.relu2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu3(out + self.shortcut(x))


Block = type[Basic] | type[Bottleneck]
Shortcut = Callable[[int, int, int], nn.Module]


def thin_resnet(channels: int, classes: int, planes: Sequence[int], blocks: int) -> nn.Sequential:
    """Build the CIFAR network of He et al. 2016, section 4.2, with ``blocks`` blocks a stage; it ends in ``linear``.

    Maps ``(n, channels, h, w)`` to ``(n, classes)`` logits. Weights are Kaiming-normal.
    """
    stages = _stages(Basic, planes, [blocks] * len(planes), nn.BatchNorm2d, Subsample)
    linear = nn.Linear(planes[-1], classes)
    net = nn.Sequential(OrderedDict({**_stem(channels, planes[0], nn.BatchNorm2d), **stages, **_pool(), "linear": linear}))
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
    return net


def cresnet(channels: int, classes: int, blocks: Sequence[int], block: Block, *, affine: bool, bias: bool) -> nn.Sequential:
    """Build a ResNet of ImageNet's widths behind a stem for small images (Ramanujan et al. 2020); it ends in ``fc``.

    Maps ``(n, channels, h, w)`` to ``(n, classes)`` logits. ``affine`` gives the normalisation learned scales and
    shifts, ``bias`` gives ``fc`` a bias.
    """
    planes = (64, 128, 256, 512)
    norm = partial(nn.BatchNorm2d, affine=affine)
    stages = _stages(block, planes, blocks, norm, partial(projection, norm=norm))
    fc = nn.Linear(planes[-1] * block.expansion, classes, bias=bias)
    return nn.Sequential(OrderedDict({**_stem(channels, planes[0], norm), **stages, **_pool(), "fc": fc}))


def _stem(channels: int, planes: int, norm: Norm) -> dict[str, nn.Module]:
    conv = nn.Conv2d(channels, planes, 3, padding=1, bias=False)
    return {"conv1": conv, "bn1": norm(planes), "relu": nn.ReLU()}


def _stages(block: Block, planes: Sequence[int], blocks: Sequence[int], norm: Norm, shortcut: Shortcut) -> dict[str, nn.Module]:
    """Return ``layer1``, ``layer2`` and so on; each but the first halves height and width in its first block."""
    stages: dict[str, nn.Module] = {}
    inputs = planes[0]
    for number, (width, count) in enumerate(zip(planes, blocks, strict=True), 1):
        stage = nn.Sequential()
        for index in range(count):
            stride = 2 if number > 1 and index == 0 else 1
            outputs = width * block.expansion
            keeps = stride == 1 and inputs == outputs
            path = nn.Identity() if keeps else shortcut(inputs, outputs, stride)
            stage.append(block(inputs, width, stride, norm, path))
            inputs = outputs
        stages[f"layer{number}"] = stage
    return stages


def _pool() -> dict[str, nn.Module]:
    return {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
