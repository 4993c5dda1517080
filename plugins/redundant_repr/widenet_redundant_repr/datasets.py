"""The study's data sets, declared without importing torch or NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import attrs
from attrs.validators import and_, ge, le

from widenet import Dataset, opt

if TYPE_CHECKING:
    from widenet.data import Data


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


def load_parity(root: Path, config: Parity) -> Data:
    """Principal components of digits, label 1 for odd ones and 0 for even ones (downloads 12 MB)."""
    from widenet_redundant_repr.parity import load

    return load(root, config)


def load_cifar(root: Path, config: RandAugment) -> Data:
    """CIFAR with random operations on the training images before they are cropped and mirrored (downloads 170 MB)."""
    from widenet_redundant_repr.randaugment import load

    return load(root, config)


DATASETS = (Dataset("parity", load_parity, Parity), Dataset("cifar-randaugment", load_cifar, RandAugment))
"""Every data set of the plugin."""
