"""The study's residual networks: TensorFlow's official ones, version 1, at any width."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

from torch import nn

from widenet.builtin.models.cifar_resnet import Basic, Norm, projection
from widenet_frivolous.custom_layers import SamePool, make_activation, scaled
from widenet_frivolous.initialise import draw, initialise

if TYPE_CHECKING:
    from widenet_frivolous.models import ResNet

SMALL = (16, 32, 64), (9, 9, 9)
"""Channels and blocks of each stage of the 56 layers for CIFAR."""
LARGE = (64, 128, 256, 512), (2, 2, 2, 2)
"""The same of the 18 layers for ImageNet."""


def resnet(channels: int, classes: int, large: bool, config: ResNet) -> nn.Sequential:
    """Build ``stem``, ``stage1``, ``stage2`` and so on, and ``logits`` (original code).

    Maps ``(n, channels, h, w)`` to ``(n, classes)`` logits. What ``stem.act`` and each stage put out, after the last addition
    and activation, is what the study captures and ablates. The first block of every stage, of the first as well, has a
    projection for its shortcut. The large one has a 7x7 stem of stride 2 and a pool after it.
    """
    sizes, blocks = LARGE if large else SMALL
    planes = [scaled(size, config.width) for size in sizes]
    norm = partial(nn.BatchNorm2d, eps=1e-5, momentum=config.norm_momentum)
    conv = nn.Conv2d(channels, planes[0], 7 if large else 3, 2 if large else 1, padding=3 if large else 1, bias=False)
    stem = OrderedDict(conv=conv, bn=norm(planes[0]), act=make_activation(config.activation))
    parts: OrderedDict[str, nn.Module] = OrderedDict(stem=nn.Sequential(stem))
    if large:
        parts["pool"] = SamePool()
    inputs = planes[0]
    for number, (outputs, count) in enumerate(zip(planes, blocks, strict=True), 1):
        parts[f"stage{number}"] = _stage(inputs, outputs, count, 1 if number == 1 else 2, norm)
        _activate(parts[f"stage{number}"], config.activation)
        inputs = outputs
    logits = nn.Linear(inputs, classes)
    parts |= {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "logits": logits}
    net = nn.Sequential(parts)
    initialise(net, "lecun-normal" if config.init == "study" else config.init)
    if config.init == "study":
        draw(logits.weight, "glorot-uniform")
    nn.init.zeros_(logits.bias)
    return net


def _stage(inputs: int, outputs: int, count: int, stride: int, norm: Norm) -> nn.Sequential:
    """Blocks of which the first has the stride and a projection."""
    stage = nn.Sequential(Basic(inputs, outputs, stride, norm, projection(inputs, outputs, stride, norm)))
    for _ in range(1, count):
        stage.append(Basic(outputs, outputs, 1, norm, nn.Identity()))
    return stage


def _activate(stage: nn.Module, name: str) -> None:
    """Put another activation in place of the blocks' ReLUs."""
    for block in stage.children():
        block.relu1, block.relu2 = make_activation(name), make_activation(name)
