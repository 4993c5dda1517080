"""The study's networks, declared without importing torch; the ``nets`` modules build them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from widenet import Model, UsageError
from widenet_frivolous.options import AlexNet, Inception, Mlp, ResNet

if TYPE_CHECKING:
    from torch import nn


def alexnet_cifar(shape: Sequence[int], classes: int, config: AlexNet) -> nn.Module:
    """AlexNet for small images: two convolutions, two hidden layers (Casper et al. 2021)."""
    _check_images("alexnet-cifar", shape, 1)
    from widenet_frivolous.nets_alexnet import alexnet

    return alexnet(shape, classes, config)


def mlp1(shape: Sequence[int], classes: int, config: Mlp) -> nn.Module:
    """One hidden layer of 32 units times a factor, for inputs of any shape (Casper et al. 2021)."""
    from widenet_frivolous.nets_mlp import mlp

    return mlp(shape, classes, 1, config)


def mlp3(shape: Sequence[int], classes: int, config: Mlp) -> nn.Module:
    """Three hidden layers of 32 units times a factor, for inputs of any shape (Casper et al. 2021)."""
    from widenet_frivolous.nets_mlp import mlp

    return mlp(shape, classes, 3, config)


def resnet56_cifar(shape: Sequence[int], classes: int, config: ResNet) -> nn.Module:
    """ResNet of 56 layers with a projection in the first block of every stage (TensorFlow's official one, version 1)."""
    _check_images("resnet56-cifar", shape, 1)
    from widenet_frivolous.nets_resnet import resnet

    return resnet(shape[0], classes, False, config)


def resnet18_width(shape: Sequence[int], classes: int, config: ResNet) -> nn.Module:
    """ImageNet's ResNet of 18 layers at any width, with a projection in every stage (TensorFlow's official one, version 1)."""
    _check_images("resnet18-width", shape, 1)
    from widenet_frivolous.nets_resnet import resnet

    return resnet(shape[0], classes, True, config)


def inception_v3_width(shape: Sequence[int], classes: int, config: Inception) -> nn.Module:
    """ImageNet's Inception-v3 at any width, or with one wider block (Szegedy et al. 2016)."""
    _check_images("inception-v3-width", shape, 75)
    from widenet_frivolous.nets_inception import inception_v3

    return inception_v3(shape[0], classes, config)


MODELS = (
    Model("alexnet-cifar", alexnet_cifar, AlexNet),
    Model("mlp1", mlp1, Mlp),
    Model("mlp3", mlp3, Mlp),
    Model("resnet56-cifar", resnet56_cifar, ResNet),
    Model("resnet18-width", resnet18_width, ResNet),
    Model("inception-v3-width", inception_v3_width, Inception),
)
"""Every network of the plugin."""


def _check_images(name: str, shape: Sequence[int], smallest: int) -> None:
    """Refuse inputs that are no images of sides of at least ``smallest`` pixels.

    Raises:
        UsageError: they are none.
    """
    if len(shape) != 3 or min(shape[1:]) < smallest:
        raise UsageError(
            f"{name} needs images (channels, height, width) of at least {smallest}x{smallest}, this data set has inputs of "
            f"shape {tuple(shape)}: choose larger images, or mlp1, which takes any shape"
        )
