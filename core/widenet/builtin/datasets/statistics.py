"""What images from anywhere are normalised by: their own statistics, published ones, or those given."""

from __future__ import annotations

from typing import Literal, Protocol

from attrs.validators import deep_iterable, gt

from widenet.components import opt
from widenet.errors import UsageError

Moments = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel, in units of pixel / 255."""
Named = Literal["own", "cifar10", "imagenet"]
PUBLISHED: dict[str, Moments] = {
    "cifar10": ((0.491, 0.482, 0.447), (0.247, 0.243, 0.261)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
STATISTICS = opt("own", "Channels are normalised by the training images' own mean and deviation, or by published ones.")
MEAN = opt((), "Mean of each channel, in units of pixel/255, in place of statistics; with std.")
STD = opt((), "Standard deviation of each channel, likewise.", validator=deep_iterable(gt(0)))


class Normalised(Protocol):
    """Options of a data set whose normalisation can be chosen."""

    @property
    def statistics(self) -> Named:
        """Whose statistics."""

    @property
    def mean(self) -> tuple[float, ...]:
        """Empty, or a number a channel."""

    @property
    def std(self) -> tuple[float, ...]:
        """Empty, or a number a channel."""


def check(config: Normalised) -> None:
    """Refuse options that contradict each other.

    Raises:
        ValueError: they do.
    """
    if bool(config.mean) != bool(config.std):
        raise ValueError("mean and std go together; give both or neither")
    if len(config.mean) != len(config.std):
        raise ValueError(f"{len(config.mean)} means and {len(config.std)} deviations; give one of each a channel")
    if config.mean and config.statistics != "own":
        raise ValueError(f"statistics={config.statistics} stands for a mean and std of its own; leave out one or the other")


def given(config: Normalised, shape: tuple[int, ...]) -> Moments | None:
    """The mean and deviation that the options give for inputs of ``shape``; None where they leave it to the images.

    Raises:
        UsageError: the inputs are no images ``(C, H, W)``, or have another number of channels.
    """
    moments = (config.mean, config.std) if config.mean else PUBLISHED.get(config.statistics)
    if moments is None:
        return None
    if len(shape) != 3:
        raise UsageError(
            f"inputs of shape {shape} are no images with channels to normalise; leave out statistics, mean and std"
        )
    if len(moments[0]) != shape[0]:
        whose = "mean and std are" if config.mean else f"statistics={config.statistics} are"
        raise UsageError(f"{whose} of {len(moments[0])} channels, the images have {shape[0]}; give mean and std of as many")
    return moments
