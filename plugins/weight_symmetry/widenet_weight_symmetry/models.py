"""The study's networks, declared without importing torch; :mod:`widenet_weight_symmetry.nets` builds them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
from attrs.validators import and_, deep_iterable, ge, gt, lt, min_len, optional

from widenet import Model, UsageError, opt
from widenet_weight_symmetry.widths import solve

if TYPE_CHECKING:
    from torch import nn

HIDDEN, GROWTH = (32, 32), 2.0


def odd(instance: object, attribute: attrs.Attribute, value: int) -> None:
    """Refuse sizes of kernels that cannot keep the image where it is."""
    if value < 1 or value % 2 == 0:
        raise ValueError(f"{attribute.name} must be odd, as 3 or 5, so that the image keeps its place; not {value}")


def widths(default: tuple[int, ...], help: str) -> tuple[int, ...]:
    """An option of the sizes of some layers, at least one."""
    made: tuple[int, ...] = opt(default, help, validator=and_(min_len(1), deep_iterable(ge(1))))
    return made


@attrs.frozen(kw_only=True)
class MnistFc:
    """Options of mnist-fc."""

    hidden: tuple[int, ...] = widths(HIDDEN, "Units of each hidden layer.")
    dropout: float = opt(0.0, "Fraction of each hidden layer's outputs dropped in training.", validator=and_(ge(0), lt(1)))
    params: int | None = opt(None, "Budget of parameters that sets the widths, with depth.", validator=optional(ge(1)))
    depth: int | None = opt(None, "Hidden layers, with params.", validator=optional(ge(1)))
    growth: float = opt(GROWTH, "Each hidden layer's width over that of the one before, with params.", validator=gt(0))

    def __attrs_post_init__(self) -> None:
        if (self.params is None) != (self.depth is None):
            raise ValueError("params and depth go together; give both or neither")
        if self.params is not None and self.hidden != HIDDEN:
            raise ValueError("params and depth set the widths, and so does hidden; give one or the other")
        if self.params is None and self.growth != GROWTH:
            raise ValueError("growth means nothing without params and depth")


@attrs.frozen(kw_only=True)
class MnistCnn:
    """Options of mnist-cnn."""

    filters: tuple[int, ...] = widths((16, 32), "Channels of each convolution.")
    kernel: int = opt(5, "Side of the convolutions' kernels, odd.", validator=odd)
    dense: int = opt(64, "Units of the layer before the classifier.", validator=ge(1))


@attrs.frozen(kw_only=True)
class Cifar10Cnn:
    """Options of cifar10-cnn."""

    filters: tuple[int, ...] = widths((32, 32, 64, 64, 128, 128), "Channels of each convolution.")
    kernel: int = opt(3, "Side of the convolutions' kernels, odd.", validator=odd)


def mnist_fc(shape: Sequence[int], classes: int, config: MnistFc) -> nn.Module:
    """Linear layers with batch norm for inputs of any shape, of given widths or as many parameters as asked for."""
    inputs, hidden = math.prod(shape), config.hidden
    if config.params is not None and config.depth is not None:
        try:
            hidden = solve(inputs, config.params, config.depth, config.growth, classes)
        except ValueError as error:
            raise UsageError(f"mnist-fc: {error}") from None
    from widenet_weight_symmetry import nets

    return nets.mnist_fc(inputs, classes, hidden, config.dropout)


def mnist_cnn(shape: Sequence[int], classes: int, config: MnistCnn) -> nn.Module:
    """Convolutions with batch norm and pooling between, their mean over the image, a layer of units and a classifier."""
    channels = _channels("mnist-cnn", shape, 2 ** (len(config.filters) - 1))
    from widenet_weight_symmetry import nets

    return nets.mnist_cnn(channels, classes, config.filters, config.kernel, config.dense)


def cifar10_cnn(shape: Sequence[int], classes: int, config: Cifar10Cnn) -> nn.Module:
    """Convolutions with batch norm, pooled after each pair, their mean over the image, and a classifier."""
    channels = _channels("cifar10-cnn", shape, 2 ** (len(config.filters) // 2))
    from widenet_weight_symmetry import nets

    return nets.cifar10_cnn(channels, classes, config.filters, config.kernel)


MODELS = (
    Model("mnist-fc", mnist_fc, MnistFc),
    Model("mnist-cnn", mnist_cnn, MnistCnn),
    Model("cifar10-cnn", cifar10_cnn, Cifar10Cnn),
)
"""Every network of the plugin."""


def _channels(name: str, shape: Sequence[int], smallest: int) -> int:
    """The channels of an image; :class:`UsageError` unless its sides are at least ``smallest``."""
    if len(shape) != 3:
        raise UsageError(
            f"{name} needs images (channels, height, width), this data set has inputs of shape {tuple(shape)}: "
            "choose mnist-fc, which takes any shape"
        )
    channels, height, width = shape
    if min(height, width) < smallest:
        raise UsageError(
            f"{name} with these filters needs images of at least {smallest}x{smallest}, this data set has {height}x{width}: "
            "give fewer filters, or larger images"
        )
    return channels
