"""The plain convolutional networks conv2 to conv8."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from widenet.builtin.models.fc import classifier


def conv_net(
    shape: Sequence[int], classes: int, channels: Sequence[int], hidden: Sequence[int], *, bias: bool
) -> nn.Sequential:
    """Build 3x3 convolutions, pooled after each pair, and a classifier (Ramanujan et al. 2020, section 4).

    Maps ``(n, *shape)`` to ``(n, classes)`` logits; ``shape`` is (channels, height, width), each side at least
    ``2 ** (len(channels) // 2)``. The layers are ``convs.0``, ``convs.2``, ``convs.5``, ``convs.7`` and so on, then
    ``linear.0``, ``linear.2`` and so on.
    """
    inputs, height, width = shape
    pools = len(channels) // 2
    features = channels[-1] * (height >> pools) * (width >> pools)
    return nn.Sequential(
        OrderedDict(
            convs=_convolutions(inputs, channels, bias=bias),
            flatten=nn.Flatten(),
            linear=classifier((features, *hidden, classes), bias=bias),
        )
    )


def _convolutions(inputs: int, channels: Sequence[int], *, bias: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number, outputs in enumerate(channels, 1):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias), nn.ReLU()]
        if number % 2 == 0:
            layers.append(nn.MaxPool2d(2))
        inputs = outputs
    return nn.Sequential(*layers)
