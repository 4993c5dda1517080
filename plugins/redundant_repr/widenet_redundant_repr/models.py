"""The study's networks, declared without importing torch; the ``nets`` modules and :mod:`.pmnist` build them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import attrs
from attrs.validators import and_, ge, lt, optional

from widenet import Model, UsageError, opt

if TYPE_CHECKING:
    from torch import nn

WRN_BLOCKS = {28: 4, 16: 2}
"""Residual blocks in each of a wide ResNet's three groups, by depth."""
DENSE_LAYERS = {40: 6, 28: 4, 100: 16}
"""Layers in each of a DenseNet's three dense blocks, by depth."""


def odd(instance: object, attribute: attrs.Attribute, value: int) -> None:
    """Refuse kernels whose padding of half their side would change an image's size: :class:`ValueError`."""
    if value < 1 or value % 2 == 0:
        raise ValueError(f"{attribute.name} must be odd, as 3 or 7, so that images keep their size; not {value}")


def dropout(what: str) -> float:
    """The option for the probability, from 0 to below 1, that an element of ``what`` is dropped in training."""
    made: float = opt(0.0, f"Fraction of {what} dropped in training.", validator=and_(ge(0), lt(1)))
    return made


@attrs.frozen(kw_only=True)
class Wrn:
    """Options of the wide ResNets, whose groups have ``k * stem``, ``2 * k * stem`` and ``4 * k * stem`` channels."""

    k: int = opt(1, "Widening factor of all convolutions but the first.", validator=ge(1))
    stem: int = opt(16, "Channels of the first convolution, which k does not widen.", validator=ge(1))
    kernel: int = opt(3, "Side of the convolutions' kernels, odd.", validator=odd)
    block: Literal["basic", "pyramid"] = opt("basic", "pyramid drops the first ReLU of a block and adds a last batch norm.")
    se: bool = opt(False, "Squeeze and excite the output of every block.")
    dropout: float = dropout("the channels between a block's convolutions")
    relu: bool = opt(False, "End in a ReLU before the average pool; the study's networks do not.")
    last_width: int | None = opt(None, "Channels of the last block alone, in place of 4 * k * stem.", validator=optional(ge(1)))

    @property
    def features(self) -> int:
        """Width W of the last hidden representation."""
        return self.last_width or 4 * self.k * self.stem


@attrs.frozen(kw_only=True)
class DenseNet:
    """Options of the DenseNets, whose layers add ``n // 2`` channels each."""

    n: int = opt(16, "Channels of the first convolution; layers add half as many.", validator=ge(2))
    kernel: int = opt(3, "Side of the convolutions' kernels, odd.", validator=odd)
    stem: Literal["cifar", "imagenet"] = opt("cifar", "imagenet starts with a 7x7 convolution and a pool, both of stride 2.")
    dropout: float = dropout("the elements that a layer adds")
    relu: bool = opt(False, "End in a ReLU before the average pool; the study's networks do not.")
    last_width: int | None = opt(None, "Final width, which the last layer alone makes up for.", validator=optional(ge(1)))


@attrs.frozen(kw_only=True)
class PmnistFc:
    """Options of pmnist-fc."""

    width: int = opt(512, "Units of each hidden layer.", validator=ge(1))
    depth: int = opt(6, "Linear layers, the read-out included.", validator=ge(2))
    batch_norm: bool = opt(True, "Normalise before every ReLU.")
    dropout: float = dropout("each hidden layer's outputs")
    bottleneck: int | None = opt(None, "Units of the one hidden layer given by bottleneck_at.", validator=optional(ge(1)))
    bottleneck_at: int | None = opt(None, "Hidden layer that is the bottleneck, from 1.", validator=optional(ge(1)))
    last_width: int | None = opt(None, "Units of the last hidden layer alone.", validator=optional(ge(1)))

    def __attrs_post_init__(self) -> None:
        if (self.bottleneck is None) != (self.bottleneck_at is None):
            raise ValueError("bottleneck and bottleneck_at go together; give both or neither")
        last = self.depth - 1 if self.last_width is None else self.depth - 2
        if self.bottleneck_at is not None and self.bottleneck_at > last:
            raise ValueError(f"bottleneck_at {self.bottleneck_at} is none of the hidden layers 1 to {last} that it may name")

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of every hidden layer."""
        widths = [self.width] * (self.depth - 1)
        if self.bottleneck is not None and self.bottleneck_at is not None:
            widths[self.bottleneck_at - 1] = self.bottleneck
        return (*widths[:-1], self.last_width or widths[-1])


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
