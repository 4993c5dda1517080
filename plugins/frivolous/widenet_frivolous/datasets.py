"""The study's data sets and their options, declared without importing torch or NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import attrs
from attrs.validators import and_, deep_iterable, ge, gt, max_len, min_len

from widenet import Dataset, opt

if TYPE_CHECKING:
    from widenet.data import Data


@attrs.frozen(kw_only=True)
class Teacher:
    """Options of ``gaussian-teacher``."""

    d: int = opt(10, "Dimensions of an input.", validator=ge(1))
    train: int = opt(1000, "Training samples.", validator=ge(1))
    val: int = opt(0, "Validation samples; 0 has no such split.", validator=ge(0))
    test: int = opt(1000, "Test samples.", validator=ge(1))
    hidden: int = opt(32, "Hidden units of the teacher.", validator=ge(1))
    stds: tuple[float, ...] = opt(
        (0.01, 0.01), "Deviations of the teacher's two layers.", validator=and_(min_len(2), max_len(2), deep_iterable(gt(0)))
    )
    classes: int = opt(2, "Classes.", validator=ge(2))
    balance: bool = opt(False, "Draw as many samples of every class.")
    seed: int = opt(0, "Where the samples come from.", validator=ge(0))
    teacher_seed: int = opt(0, "Where the teacher comes from.", validator=ge(0))


@attrs.frozen(kw_only=True)
class StudyCifar:
    """Options of ``frivolous-cifar``."""

    path: Path | None = opt(None, "NumPy .npz file with x_train, y_train, x_test, y_test in place of a download of CIFAR-10.")
    recipe: Literal["alexnet", "resnet"] = opt(
        "alexnet", "Crops of 28 pixels enlarged to 32, or whole images; each image is standardised."
    )
    augment: bool = opt(
        False, "Draw the crop and mirror half of the training images; alexnet also changes brightness and contrast."
    )


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
