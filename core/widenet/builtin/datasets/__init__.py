"""The data sets that come with widenet, and their options.

Nothing heavy is imported here: each function imports its work when it is called.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import attrs
from attrs.validators import ge, optional

from widenet.builtin.datasets.statistics import MEAN, STATISTICS, STD, Named, check
from widenet.components import Dataset, NoOptions, opt

if TYPE_CHECKING:
    from widenet.data import Data


@attrs.frozen(kw_only=True)
class Digits:
    """Options of ``digits``."""

    size: int = opt(16, "Height and width in pixels; the originals have 8.", validator=ge(8))


@attrs.frozen(kw_only=True)
class Cifar:
    """Options of ``cifar10`` and ``cifar100``."""

    augment: bool = opt(True, "Crop training images at random out of a border of 4 pixels, and mirror half of them.")
    border: Literal["black", "reflect"] = opt("black", "The border: black, or the image itself mirrored.")


@attrs.frozen(kw_only=True)
class ImageNet:
    """Options of ``imagenet``."""

    size: int = opt(224, "Height and width of the crops, in pixels.", validator=ge(8))


@attrs.frozen(kw_only=True)
class Folder:
    """Options of ``folder``."""

    path: Path = opt(help="Folder with train/CLASS/IMAGE and the same under test/ or val/.")
    size: int | None = opt(
        None,
        "Height and width in pixels; up to 64 all images stay in memory. Default: that of images up to 64, else 224.",
        validator=optional(ge(8)),
    )
    augment: bool = opt(True, "Crop and mirror training images at random.")
    statistics: Named = STATISTICS
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD

    def __attrs_post_init__(self) -> None:
        check(self)


@attrs.frozen(kw_only=True)
class Npz:
    """Options of ``npz``."""

    path: Path = opt(help="NumPy .npz file with the arrays x_train, y_train, x_test, y_test.")
    augment: bool = opt(False, "Crop training images at random out of a black border, and mirror half of them.")
    statistics: Named = STATISTICS
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD

    def __attrs_post_init__(self) -> None:
        check(self)


@attrs.frozen(kw_only=True)
class Tiny:
    """Options of ``tiny``."""

    size: int = opt(16, "Height and width in pixels.", validator=ge(4))
    channels: int = opt(1, "Channels.", validator=ge(1))
    classes: int = opt(4, "Classes.", validator=ge(2))
    train: int = opt(128, "Training images.", validator=ge(1))
    test: int = opt(64, "Test images.", validator=ge(1))


def load_digits(root: Path, config: Digits) -> Data:
    """Scikit-learn's 1,797 handwritten digits: no download."""
    from widenet.builtin.datasets.digits import load

    return load(config.size)


def load_mnist(root: Path, config: NoOptions) -> Data:
    """MNIST: 70,000 handwritten digits of 28 x 28 pixels (downloads 12 MB)."""
    from widenet.builtin.datasets.downloads import mnist

    return mnist(root)


def load_cifar10(root: Path, config: Cifar) -> Data:
    """CIFAR-10: 60,000 photographs of 32 x 32 pixels in 10 classes (downloads 170 MB)."""
    from widenet.builtin.datasets.downloads import cifar

    return cifar("cifar10", root, config.augment, config.border)


def load_cifar100(root: Path, config: Cifar) -> Data:
    """CIFAR-100: 60,000 photographs of 32 x 32 pixels in 100 classes (downloads 169 MB)."""
    from widenet.builtin.datasets.downloads import cifar

    return cifar("cifar100", root, config.augment, config.border)


def load_imagenet(root: Path, config: ImageNet) -> Data:
    """ImageNet (ILSVRC 2012), from the folders train/ and val/ in --data-dir."""
    from widenet.builtin.datasets.folder import imagenet

    return imagenet(root, config.size)


def load_folder(root: Path, config: Folder) -> Data:
    """Your own images, in one folder per class."""
    from widenet.builtin.datasets.folder import folder

    return folder(config.path, config.size, config.augment, config)


def load_npz(root: Path, config: Npz) -> Data:
    """Your own images or vectors, in one NumPy file."""
    from widenet.builtin.datasets.arrays import load

    return load(config.path, config.augment, config)


def load_tiny(root: Path, config: Tiny) -> Data:
    """Noisy patterns made up on the spot, for tests."""
    from widenet.builtin.datasets.tiny import load

    return load(config.size, config.channels, config.classes, config.train, config.test)


def datasets() -> Iterable[Dataset]:
    """Yield the built-in data sets, the default one first."""
    yield Dataset("digits", load_digits, Digits)
    yield Dataset("mnist", load_mnist)
    yield Dataset("cifar10", load_cifar10, Cifar)
    yield Dataset("cifar100", load_cifar100, Cifar)
    yield Dataset("imagenet", load_imagenet, ImageNet)
    yield Dataset("folder", load_folder, Folder)
    yield Dataset("npz", load_npz, Npz)
    yield Dataset("tiny", load_tiny, Tiny)
