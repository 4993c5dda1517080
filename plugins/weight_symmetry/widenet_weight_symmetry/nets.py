"""The study's networks: batch normalisation before every ReLU, and in the convolutional ones on the logits too."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from widenet.masks import layers
from widenet_weight_symmetry.initialise import sparse_init_
from widenet_weight_symmetry.norm import BatchNorm1d, BatchNorm2d

Parts = OrderedDict[str, nn.Module]


def mnist_fc(inputs: int, classes: int, hidden: Sequence[int], dropout: float) -> nn.Sequential:
    """Hidden layers ``fc1``, ``fc2``, ... and the classifier ``head``; maps ``(n, ...)``, flattened, to ``(n, classes)``."""
    parts: Parts = OrderedDict(flatten=nn.Flatten())
    for number, width in enumerate(hidden, 1):
        parts[f"fc{number}"] = nn.Linear(inputs, width)
        parts[f"bn{number}"] = BatchNorm1d(width)
        parts[f"relu{number}"] = nn.ReLU()
        if dropout:
            parts[f"dropout{number}"] = nn.Dropout(dropout)
        inputs = width
    parts["head"] = nn.Linear(inputs, classes)
    return _initialised(parts)


def mnist_cnn(channels: int, classes: int, filters: Sequence[int], kernel: int, dense: int) -> nn.Sequential:
    """Convolutions ``conv1``, ... with 2x2 pooling between them, the mean over all pixels, ``dense`` and ``head``.

    ``dense`` is a 1x1 convolution on ``(n, filters[-1], 1, 1)``. Maps ``(n, channels, h, w)`` to ``(n, classes)``.
    """
    pooled = range(1, len(filters))
    parts = _convolutions(channels, filters, kernel, pooled)
    parts["dense"] = nn.Conv2d(filters[-1], dense, 1)
    parts["bn_dense"] = BatchNorm2d(dense)
    parts["relu_dense"] = nn.ReLU()
    return _initialised(parts | _classifier(dense, classes))


def cifar10_cnn(channels: int, classes: int, filters: Sequence[int], kernel: int) -> nn.Sequential:
    """Convolutions ``conv1``, ... with 2x2 pooling after every second, the mean over all pixels and ``head``.

    Maps ``(n, channels, h, w)`` to ``(n, classes)``.
    """
    pooled = range(2, len(filters) + 1, 2)
    return _initialised(_convolutions(channels, filters, kernel, pooled) | _classifier(filters[-1], classes))


def _convolutions(channels: int, filters: Sequence[int], kernel: int, pooled: Sequence[int]) -> Parts:
    """Convolutions that keep the image's size, pooling after those numbered in ``pooled``, and the mean over all pixels."""
    parts: Parts = OrderedDict()
    for number, width in enumerate(filters, 1):
        parts[f"conv{number}"] = nn.Conv2d(channels, width, kernel, padding=kernel // 2)
        parts[f"bn{number}"] = BatchNorm2d(width)
        parts[f"relu{number}"] = nn.ReLU()
        if number in pooled:
            parts[f"pool{number}"] = nn.MaxPool2d(2)
        channels = width
    parts["mean"] = nn.AdaptiveAvgPool2d(1)
    return parts


def _classifier(inputs: int, classes: int) -> Parts:
    return OrderedDict(flatten=nn.Flatten(), head=nn.Linear(inputs, classes), bn_head=BatchNorm1d(classes))


def _initialised(parts: Parts) -> nn.Sequential:
    """The network: truncated Kaiming weights, Xavier ones for the classifier, biases 0."""
    net = nn.Sequential(parts)
    for name, layer in layers(net):
        sparse_init_(layer.get_parameter("weight"), None, "xavier-sparse" if name == "head" else "kaiming-sparse")
        nn.init.zeros_(layer.get_parameter("bias"))
    return net
