"""The study's networks and their options, declared without importing torch; the ``nets`` modules build them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import attrs
from attrs.validators import and_, ge, gt, le, lt

from widenet import Model, UsageError, opt
from widenet_frivolous.options import Activation, Initialiser

if TYPE_CHECKING:
    from torch import nn

FirstWeights = Literal[Initialiser, "study"]
"""An initialiser, or what the original gave a family of networks."""
factor = and_(gt(0), le(100))
ACTIVATION: Any = opt("relu", "Activation of the hidden layers.")


def width(what: str) -> Any:
    """The option for the factor on the size of ``what``."""
    return opt(1.0, f"Factor on {what}.", validator=factor)


def dropout(what: str) -> Any:
    """The option for the fraction of ``what`` that is dropped in training."""
    return opt(0.0, f"Fraction of {what} dropped in training.", validator=and_(ge(0), lt(1)))


@attrs.frozen(kw_only=True)
class AlexNet:
    """Options of ``alexnet-cifar``."""

    width: float = width("96 and 256 channels and 384 and 192 units")
    activation: Activation = ACTIVATION
    init: Initialiser = opt("glorot-normal", "Distribution of the first weights.")
    dropout: float = dropout("the outputs of fc3 and fc4")


@attrs.frozen(kw_only=True)
class Mlp:
    """Options of ``mlp1`` and ``mlp3``."""

    width: float = width("the 32 units of each hidden layer")
    activation: Literal[Activation, "linear"] = ACTIVATION
    init: FirstWeights = opt(
        "study", "First weights; study: normal, cut at two deviations of 0.001, or 0.01 after the first layer."
    )
    init_factor: float = opt(1.0, "Factor on the deviation of study weights.", validator=gt(0))
    dropout: float = dropout("the outputs of each hidden layer")


@attrs.frozen(kw_only=True)
class ResNet:
    """Options of the residual networks."""

    width: float = width("the channels")
    activation: Activation = ACTIVATION
    init: FirstWeights = opt("study", "First weights; study: lecun-normal, the read-out glorot-uniform.")
    norm_momentum: float = opt(
        0.1, "Share of each batch in batch norm's running statistics; 0.003 in the study.", validator=and_(gt(0), le(1))
    )


@attrs.frozen(kw_only=True)
class Inception:
    """Options of ``inception-v3-width``."""

    width: float = width("the channels of every branch")
    width_end: float = opt(1.0, "Further factor on the branches of mixed_35c alone.", validator=factor)
    activation: Activation = ACTIVATION
    init: FirstWeights = opt("study", "First weights; study: normal of deviation 0.1, cut at two.")
    dropout: float = dropout("the pooled features")


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
