"""The study's data sets, declared without importing torch or NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from widenet import Dataset
from widenet_redundant_repr.options import Parity, RandAugment

if TYPE_CHECKING:
    from widenet.data import Data


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
