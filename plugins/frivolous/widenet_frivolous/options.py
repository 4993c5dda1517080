"""Options of the study's networks and data sets; nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs
from attrs.validators import and_, deep_iterable, ge, gt, le, lt, max_len, min_len

from widenet import opt
from widenet_frivolous.names import Activation, FirstWeights, Initialiser, MlpActivation

factor = and_(gt(0), le(100))
ACTIVATION: Any = opt("relu", "Activation of the hidden layers.")


def width(what: str) -> Any:
    """The option for the factor on the size of ``what``."""
    return opt(1.0, f"Factor on {what}.", validator=factor)


def dropout(what: str) -> Any:
    """The option for the fraction of ``what`` that is dropped in training."""
    return opt(0.0, f"Fraction of {what} dropped in training.", validator=and_(ge(0), lt(1)))


@attrs.frozen(kw_only=True)
class AlexNet:
    """Options of ``alexnet-cifar``."""

    width: float = width("96 and 256 channels and 384 and 192 units")
    activation: Activation = ACTIVATION
    init: Initialiser = opt("glorot-normal", "Distribution of the first weights.")
    dropout: float = dropout("the outputs of fc3 and fc4")


@attrs.frozen(kw_only=True)
class Mlp:
    """Options of ``mlp1`` and ``mlp3``."""

    width: float = width("the 32 units of each hidden layer")
    activation: MlpActivation = ACTIVATION
    init: FirstWeights = opt(
        "study", "First weights; study: normal, cut at two deviations of 0.001, or 0.01 after the first layer."
    )
    init_factor: float = opt(1.0, "Factor on the deviation of study weights.", validator=gt(0))
    dropout: float = dropout("the outputs of each hidden layer")


@attrs.frozen(kw_only=True)
class ResNet:
    """Options of the residual networks."""

    width: float = width("the channels")
    activation: Activation = ACTIVATION
    init: FirstWeights = opt("study", "First weights; study: lecun-normal, the read-out glorot-uniform.")
    norm_momentum: float = opt(
        0.1, "Share of each batch in batch norm's running statistics; 0.003 in the study.", validator=and_(gt(0), le(1))
    )


@attrs.frozen(kw_only=True)
class Inception:
    """Options of ``inception-v3-width``."""

    width: float = width("the channels of every branch")
    width_end: float = opt(1.0, "Further factor on the branches of mixed_35c alone.", validator=factor)
    activation: Activation = ACTIVATION
    init: FirstWeights = opt("study", "First weights; study: normal of deviation 0.1, cut at two.")
    dropout: float = dropout("the pooled features")


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
