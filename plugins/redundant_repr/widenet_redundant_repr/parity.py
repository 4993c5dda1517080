"""Digits as vectors of a few principal components, labelled by their parity ("pMNIST")."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from widenet import UsageError
from widenet.data import Data, Images

if TYPE_CHECKING:
    from widenet_redundant_repr.options import Parity


def load(root: Path, config: Parity) -> Data:
    """Return the digits' coordinates along their first principal components, float32 (N, components), and their parity.

    Pixels run from 0 to 1. Mean and directions are those of the split that is trained on, which with ``swap`` is the test
    file; the coordinates are not rescaled.

    Raises:
        UsageError: more components than pixels or training images, or a file that holds no digits.
        WnError: MNIST is neither there nor to be had.
    """
    digits = _digits(root, config)
    train, test = (digits.test, digits.train) if config.swap else (digits.train, digits.test)
    assert isinstance(train, Images) and isinstance(test, Images)
    x, other = _pixels(train), _pixels(test)
    if config.components > min(x.shape):
        raise UsageError(
            f"parity: {len(x)} training images of {x.shape[1]} pixels have no {config.components} principal components; give "
            f"components={min(x.shape)} or fewer"
        )
    mean, directions = principal(x, config.components)
    fitted = Images(((x - mean) @ directions).float(), train.y % 2)
    held_out = Images(((other - mean) @ directions).float(), test.y % 2)
    return Data("parity", fitted, held_out, (config.components,), 2, class_names=("even", "odd"))


def principal(x: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """The mean (D,) and the first principal directions (D, components) of ``x`` (N, D) float64, orthonormal columns.

    The entry of each direction that is largest in size is positive.
    """
    mean = x.mean(0)
    centred = x - mean
    directions = torch.linalg.eigh(centred.mT @ centred).eigenvectors.flip(1)[:, :components]
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    return mean, directions * largest.sign()


def _digits(root: Path, config: Parity) -> Data:
    if config.path is not None:
        from widenet.builtin.datasets.arrays import load as read

        return read(config.path, augment=False)
    if config.source == "digits":
        from widenet.builtin.datasets.digits import load as small

        return small(8)
    from widenet.builtin.datasets.downloads import mnist

    return mnist(root)


def _pixels(split: Images) -> Tensor:
    """The images as vectors (N, D) float64, bytes as fractions of 255."""
    x = split.x.flatten(1).double()
    return x / 255 if split.x.dtype == torch.uint8 else x
