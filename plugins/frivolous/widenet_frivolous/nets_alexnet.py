"""The study's AlexNet for small images."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from widenet_frivolous.custom_layers import ResponseNorm, SamePool, make_activation, scaled
from widenet_frivolous.initialise import initialise

if TYPE_CHECKING:
    from widenet_frivolous.models import AlexNet

CHANNELS, UNITS = (96, 256), (384, 192)


def alexnet(shape: Sequence[int], classes: int, config: AlexNet) -> nn.Sequential:
    """Build ``conv1``, ``conv2`` (each pooled and normalised), ``fc3``, ``fc4`` and ``logits`` (original code).

    Maps ``(n, *shape)`` images to ``(n, classes)`` logits. What ``conv1.act``, ``conv2.act``, ``fc3.act`` and ``fc4.act`` put
    out is what the study captures and ablates. Biases start at 0.1 but for the first and last layers, where they start at 0.
    """
    channels, height, width = shape
    first, second = (scaled(size, config.width) for size in CHANNELS)
    third, fourth = (scaled(size, config.width) for size in UNITS)
    flat = second * -(-height // 4) * -(-width // 4)

    def hidden(name: str, layer: nn.Module) -> nn.Sequential:
        return nn.Sequential(OrderedDict({name: layer, "act": make_activation(config.activation)}))

    net = nn.Sequential(
        OrderedDict(
            conv1=hidden("conv", nn.Conv2d(channels, first, 5, padding=2)),
            pool1=SamePool(),
            norm1=ResponseNorm(),
            conv2=hidden("conv", nn.Conv2d(first, second, 5, padding=2)),
            pool2=SamePool(),
            norm2=ResponseNorm(),
            flatten=nn.Flatten(),
            fc3=hidden("linear", nn.Linear(flat, third)),
            drop3=nn.Dropout(config.dropout),
            fc4=hidden("linear", nn.Linear(third, fourth)),
            drop4=nn.Dropout(config.dropout),
            logits=nn.Linear(fourth, classes),
        )
    )
    initialise(net, config.init)
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            nn.init.constant_(parameter, 0.0 if name.startswith(("conv1", "logits")) else 0.1)
    return net
