"""Options of the method, the analyses and the export, and the names they take; nothing heavy is imported here."""

from __future__ import annotations

from typing import Any, Literal

import attrs
from attrs.validators import and_, deep_iterable, ge, gt, le, lt, max_len, min_len, optional

from widenet import Train, opt

Initialiser = Literal["glorot-normal", "glorot-uniform", "he-normal", "he-uniform", "lecun-normal", "lecun-uniform"]
"""In the order in which the original numbers them, as it does activations."""
Activation = Literal["relu", "leaky-relu", "elu", "selu", "sigmoid", "tanh"]
Regulariser = Literal["none", "augment", "dropout", "weight-decay", "all"]
Split = Literal["train", "test", "val"]
Order = Literal["random", "cluster", "activation", "weight-norm", "selectivity", "greedy"]
Perturb = Literal["zero", "mean", "resample", "noise", "weight-noise", "weight-knockout"]
ABLATIONS = ("zero", "mean", "resample")
"""Perturbations that overwrite units; the others have no order."""
LEVELS = tuple(number / 6 for number in range(7))
"""The study's levels."""
FRACTIONS: Any = deep_iterable(and_(gt(0), lt(1)), min_len(1))


@attrs.frozen(kw_only=True)
class Frivolous(Train):
    """Options of the training that the study begins with; defaults are its recipe, but for the number of epochs."""

    train: bool = opt(True, "Train first; --no-train studies the network as it is.")
    lr: float = opt(0.01, "Learning rate of the first epoch.", validator=gt(0))
    schedule: Literal["cosine", "constant", "step", "exponential"] = opt("exponential", "Learning rate over the epochs.")
    gamma: float = opt(0.95, "Factor of the step schedule, and of every epoch of the exponential one.", validator=gt(0))
    weight_decay: float = opt(0.0, "L2 penalty on all parameters (decoupled in adamw).", validator=ge(0))
    lr_bs_factor: float = opt(1.0, "Factor on both learning rate and batch size.", validator=gt(0))
    init: Initialiser | None = opt(None, "Draw all linear and convolutional weights of the network anew, like this.")
    labels: Literal["true", "random"] = opt("true", "random draws the classes of training and validation samples.")
    regulariser: Regulariser = opt("none", "What keeps the network from overfitting; all is the three together.")
    fc_decay: float = opt(
        1e-3, "L2 penalty of regularisers weight-decay and all, on hidden fully connected layers alone.", validator=gt(0)
    )
    select: Literal["last", "val", "train"] = opt(
        "last", "Network that is studied: the last, or the one of best accuracy on validation or training samples."
    )
    patience: int = opt(
        0, "Epochs without a better accuracy after which training ends; 0 trains on. Needs select.", validator=ge(0)
    )
    experiment: int | None = opt(
        None, "Number in the original's table, as the presets id-2 and so on set it.", validator=optional(ge(0))
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.patience and self.select == "last":
            raise ValueError("patience waits for a better accuracy: add select val or train, or leave it out")
        if self.batch_size * self.lr_bs_factor < 1:
            raise ValueError(
                f"lr-bs-factor {self.lr_bs_factor:g} leaves nothing of batches of {self.batch_size}; give more of one"
            )


@attrs.frozen(kw_only=True)
class Prunability:
    """Options of ``wn analyze prunability``."""

    layer: tuple[str, ...] = opt(
        (), "Patterns of layers (fc:input is what fc is given); none given takes the activation modules but that of the logits."
    )
    targets: Literal["both", "each", "all"] = opt("both", "Each layer alone, all layers at once, or both.")
    order: tuple[Order, ...] = opt(
        ("random",),
        "Orders in which units go: random; cluster goes by correlation with a random unit; the others take the least important "
        "first.",
        validator=min_len(1),
    )
    perturb: tuple[Perturb, ...] = opt(
        ("zero",),
        "What is done: units overwritten by zero, their mean or another sample's value; noise on units or weights; weights "
        "knocked out.",
        validator=min_len(1),
    )
    levels: tuple[float, ...] = opt(
        LEVELS, "Fractions of the units, or sizes of the noise.", validator=and_(min_len(1), deep_iterable(and_(ge(0), le(1))))
    )
    adaptive: bool = opt(False, "Measure on between levels, halving, until the threshold is known to one unit.")
    at: float = opt(0.8, "Part of the labels that must stay at the threshold.", validator=and_(gt(0), lt(1)))
    metric: Literal["agreement", "accuracy"] = opt(
        "agreement", "What the threshold is of; of the accuracy, relative to that of the intact network."
    )
    draws: int = opt(3, "Random orders, or draws of noise.", validator=ge(1))
    quantiles: tuple[float, ...] = opt((0.1, 0.9), "The two quantiles over draws.", validator=deep_iterable(and_(ge(0), le(1))))
    single: bool = opt(False, "Also ablate every unit alone.")
    split: Split = opt("test", "Samples that curves are of.")
    samples: int = opt(0, "So many of them, drawn at random; 0 takes all.", validator=ge(0))
    train_samples: int = opt(
        5000, "Training samples that orders, means and recalibration are of, drawn at random; 0 takes all.", validator=ge(0)
    )
    recalibrate: bool = opt(False, "Estimate batch norm statistics anew for every perturbation, on training samples: slow.")
    truncate: bool = opt(False, "Cut the number of units off, as the original does, in place of rounding it.")
    batch_size: int = opt(128, "Samples of a batch.", validator=ge(1))

    def __attrs_post_init__(self) -> None:
        if len(self.quantiles) != 2 or self.quantiles[0] > self.quantiles[1]:
            raise ValueError("quantiles are two, the lower one first, as 0.1,0.9")
        if list(self.levels) != sorted(set(self.levels)):
            raise ValueError("levels must rise, as 0,0.25,0.5,1")


@attrs.frozen(kw_only=True)
class Redundancy:
    """Options of ``wn analyze redundancy``."""

    layer: tuple[str, ...] = opt((), "Patterns of layers; none given takes every activation module but that of the logits.")
    split: Split = opt("test", "Samples that units are compared on.")
    thresholds: tuple[float, ...] = opt(
        (0.5, 0.9), "Units are similar from this absolute correlation on.", validator=deep_iterable(and_(gt(0), le(1)))
    )
    energies: tuple[float, ...] = opt(
        (0.95, 0.8), "Shares of the variance that components are counted for.", validator=FRACTIONS
    )
    pool: bool = opt(False, "Average a channel over its positions; else every position is a sample.")
    rows: int = opt(50_000, "Random rows of a layer that are kept, an equal share of each batch.", validator=ge(2))
    draw: int = opt(0, "Which random rows: another number draws others.", validator=ge(0))
    batch_size: int = opt(128, "Images of a batch.", validator=ge(1))
    ridge: float = opt(1e-6, "Added to the correlation matrix before units are predicted.", validator=gt(0))


@attrs.frozen(kw_only=True)
class Similarity:
    """Options of ``wn analyze similarity``."""

    layer: tuple[str, ...] = opt((), "Patterns of layers in every run; none given takes every activation module.")
    split: Split = opt("test", "Samples of the first run's data that are shown to every network.")
    samples: int = opt(2_000, "Samples at most, the first of the split.", validator=ge(2))
    reduction: Literal["mean", "max", "flatten"] = opt("mean", "How a channel's positions become units of a sample.")
    pairs: Literal["all", "same"] = opt("all", "Every layer with every other, or only those of the same path.")
    variance: float = opt(0.99, "Share of the variance that SVCCA keeps of each layer.", validator=and_(gt(0), le(1)))


@attrs.frozen(kw_only=True)
class Width:
    """Options of ``wn analyze width``."""

    largest: float | None = opt(
        None, "Width factor f_max that is 1; the largest of the runs if none.", validator=optional(gt(0))
    )
    factor: str = opt("width", "Option of the architecture that is the width factor.")
    by: tuple[str, ...] = opt((), "Options of architecture or method whose values are curves of their own, as init.")
    layer: tuple[str, ...] = opt((), "Patterns of layers that prunability and redundancy are studied in.")
    split: Split = opt("test", "Samples that are studied.")
    at: float = opt(0.8, "Agreement at which units count as prunable no longer.", validator=and_(gt(0), lt(1)))
    draws: int = opt(3, "Random orders of ablation.", validator=ge(1))
    adaptive: bool = opt(True, "Search each threshold to one unit; else it is read from the study's seven levels.")
    orders: Literal["mean", "max"] = opt("mean", "Threshold over the orders: their mean, or the best as the study has it.")
    energy: float = opt(0.95, "Share of the variance that redundancy leaves out of account.", validator=and_(gt(0), lt(1)))
    pca: Literal["covariance", "correlation"] = opt("covariance", "Matrix whose components are counted.")
    pool: bool = opt(False, "Average a channel over its positions; else every position is a sample.")
    per_layer: bool = opt(False, "Rows for each layer, beside those of all layers.")
    skip_first: tuple[Literal["prunability", "redundancy"], ...] = opt(
        ("redundancy",), "Quantities whose growth leaves out the first step, as the study does.", validator=max_len(2)
    )
    growth: bool = opt(True, "Tell growth; else widths need not double, and one is enough.")
    resamples: int = opt(1_000, "Bootstrap samples of runs behind an interval.", validator=ge(1))


@attrs.frozen(kw_only=True)
class StudyCsv:
    """Options of ``wn export RUN --what frivolous-csv``."""

    table: Literal["redundancy", "robustness"] = opt(help="Which of the study's two tables.")
