"""The study's networks, declared without importing torch; the ``nets`` modules and :mod:`.pmnist` build them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from widenet import Model, UsageError
from widenet_redundant_repr.options import DenseNet, PmnistFc, Wrn

if TYPE_CHECKING:
    from torch import nn

WRN_BLOCKS = {28: 4, 16: 2}
"""Residual blocks in each of a wide ResNet's three groups, by depth."""
DENSE_LAYERS = {40: 6, 28: 4, 100: 16}
"""Layers in each of a DenseNet's three dense blocks, by depth."""


def _wrn(depth: int) -> Model:
    name, blocks = f"wrn{depth}", WRN_BLOCKS[depth]

    def build(shape: Sequence[int], classes: int, config: Wrn) -> nn.Module:
        channels = _channels(name, shape, 1)
        if config.features <= classes:
            other = f"a last_width above {classes}" if config.last_width else f"k={classes // (4 * config.stem) + 1} or more"
            raise UsageError(f"{name} has {config.features} features here for {classes} classes and needs more: give {other}")
        from widenet_redundant_repr.nets_wrn import wide_resnet

        return wide_resnet(channels, classes, blocks, config)

    build.__doc__ = f"Wide ResNet of {depth} layers, widened throughout, without a last ReLU (Doimo et al. 2022)."
    return Model(name, build, Wrn)


def _densenet(depth: int) -> Model:
    name, layers = f"densenet{depth}", DENSE_LAYERS[depth]

    def build(shape: Sequence[int], classes: int, config: DenseNet) -> nn.Module:
        channels = _channels(name, shape, 4 if config.stem == "cifar" else 13)
        from widenet_redundant_repr.nets_densenet import densenet

        return densenet(channels, classes, layers, config)

    build.__doc__ = f"DenseNet-BC of {depth} layers, widened throughout, without a last ReLU (Doimo et al. 2022)."
    return Model(name, build, DenseNet)


def pmnist_fc(shape: Sequence[int], classes: int, config: PmnistFc) -> nn.Module:
    """Linear layers of one width for inputs of any shape; one output f, and logits 0 and f, where there are two classes."""
    from widenet_redundant_repr.pmnist import FullyConnected

    outputs = 1 if classes == 2 else classes
    return FullyConnected(math.prod(shape), config.hidden, outputs, config.batch_norm, config.dropout)


MODELS = (*map(_wrn, WRN_BLOCKS), *map(_densenet, DENSE_LAYERS), Model("pmnist-fc", pmnist_fc, PmnistFc))
"""Every network of the plugin."""


def _channels(name: str, shape: Sequence[int], smallest: int) -> int:
    """The channels of an image; :class:`UsageError` unless its sides are at least ``smallest``."""
    if len(shape) != 3 or min(shape[1:]) < smallest:
        raise UsageError(
            f"{name} needs images (channels, height, width) of at least {smallest}x{smallest}, this data set has inputs of "
            f"shape {tuple(shape)}: choose larger images, or pmnist-fc, which takes any shape"
        )
    return shape[0]
