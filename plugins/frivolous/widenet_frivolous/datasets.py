"""The study's data sets, declared without importing torch or NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from widenet import Dataset
from widenet_frivolous.options import StudyCifar, Teacher

if TYPE_CHECKING:
    from widenet.data import Data


def load_teacher(root: Path, config: Teacher) -> Data:
    """Gaussian inputs, labelled by a random network of one hidden layer: no download."""
    from widenet_frivolous.teacher import load

    return load(config)


def load_cifar(root: Path, config: StudyCifar) -> Data:
    """CIFAR-10 cropped, standardised image by image and enlarged, as the study's networks saw it (downloads 170 MB)."""
    from widenet_frivolous.cifar import load

    return load(root, config)


DATASETS = (Dataset("gaussian-teacher", load_teacher, Teacher), Dataset("frivolous-cifar", load_cifar, StudyCifar))
"""Every data set of the plugin."""
