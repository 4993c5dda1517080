"""Options of the analysis ``prunability``; nothing heavy is imported here."""

from __future__ import annotations

from typing import Literal

import attrs
from attrs.validators import and_, deep_iterable, ge, gt, le, lt, min_len

from widenet import opt

Order = Literal["random", "cluster", "activation", "weight-norm", "selectivity", "greedy"]
Perturb = Literal["zero", "mean", "resample", "noise", "weight-noise", "weight-knockout"]
ABLATIONS = ("zero", "mean", "resample")
"""Perturbations that overwrite units; the others have no order."""
LEVELS = tuple(number / 6 for number in range(7))
"""The study's levels."""


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
    split: Literal["train", "test", "val"] = opt("test", "Samples that curves are of.")
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
