"""Fully connected networks, and the classifier that convolutional ones end with."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def fc_net(shape: Sequence[int], classes: int, hidden: Sequence[int], *, bias: bool) -> nn.Sequential:
    """Build linear layers with ReLUs between, mapping ``(n, *shape)`` to ``(n, classes)`` logits.

    The layers are ``linear.0``, ``linear.2`` and so on; LeCun et al. 1998 used 300 and 100 hidden units on MNIST.
    """
    sizes = (math.prod(shape), *hidden, classes)
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), linear=classifier(sizes, bias=bias)))


def classifier(sizes: Sequence[int], *, bias: bool) -> nn.Sequential:
    """Chain linear layers from ``sizes[0]`` inputs to ``sizes[-1]`` logits, with a ReLU after each but the last."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs, bias=bias), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
