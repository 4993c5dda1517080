"""Options of the study's networks and data sets; nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs
from attrs.validators import and_, ge, le, lt, optional

from widenet import opt


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


@attrs.frozen(kw_only=True)
class Parity:
    """Options of ``parity``."""

    components: int = opt(10, "Principal components that are the input.", validator=ge(1))
    source: Literal["mnist", "digits"] = opt("mnist", "Digits: MNIST, or scikit-learn's of 8 x 8 pixels, without a download.")
    path: Path | None = opt(None, "NumPy .npz file with digits x_train, y_train, x_test, y_test, in place of source.")
    swap: bool = opt(True, "Train on the test images, and test on the training images, as the study does.")

    def __attrs_post_init__(self) -> None:
        if self.path is not None and self.source != "mnist":
            raise ValueError("path and source both say where digits come from; give one of them")


@attrs.frozen(kw_only=True)
class RandAugment:
    """Options of ``cifar-randaugment``."""

    name: Literal["cifar10", "cifar100"] = opt("cifar10", "Data set.")
    ops: int = opt(1, "Operations drawn for each image, all different; 0 for none.", validator=and_(ge(0), le(16)))
    magnitude: float = opt(5.0, "Strength of the operations, from 0 to 10.", validator=and_(ge(0), le(10)))
    superclasses: bool = opt(False, "Take CIFAR-100's 20 superclasses as the classes.")

    def __attrs_post_init__(self) -> None:
        if self.superclasses and self.name != "cifar100":
            raise ValueError("superclasses are those of CIFAR-100; give name=cifar100 with them")
