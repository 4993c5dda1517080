"""Options of the methods and the analyses; nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs
from attrs.validators import and_, ge, gt, le, lt, min_len, optional

from widenet import Train, opt

Score = Literal[
    "frequency",
    "mean",
    "share",
    "median",
    "mass",
    "contribution",
    "contribution-frequency",
    "contrast",
    "weight",
    "gate",
    "lowest-gate",
    "random",
]
Replacement = Literal["noise", "matched", "zero", "mean", "shuffle"]
USUAL = (5, 10, 20)
"""Units of each class where nothing else is asked for, as far as the layer has them."""


def _sizes(instance: object, attribute: attrs.Attribute, value: tuple[str, ...]) -> None:
    """Refuse what is neither a whole number from 1 nor ``all``: ValueError."""
    for part in value:
        if part != "all" and not (part.isdecimal() and int(part) >= 1):
            raise ValueError(f"k takes whole numbers from 1, or all, not {part!r}; a fraction goes to mass")


@attrs.frozen(kw_only=True, slots=False)  # classes with slots do not go together as bases
class Sized:
    """How many units each class gets."""

    k: tuple[str, ...] = opt(
        (),
        "Units of each class, as 5,10,20, or all for every number; none: 5, 10 and 20. A network gets the first one, else 5.",
        validator=_sizes,
    )

    def sizes(self, units: int) -> list[int]:
        """The numbers meant, rising, of a layer of ``units``."""
        if "all" in self.k:
            return list(range(1, units + 1))
        return sorted({int(part) for part in self.k}) or [k for k in USUAL if k <= units] or [units]


@attrs.frozen(kw_only=True, slots=False)
class Given:
    """Filters from a file."""

    indices: Path | None = opt(None, "File with the units of each class (.json, .npy, .npz, .h5), in place of finding them.")
    order: Literal["descending", "ascending"] = opt(
        "descending", "Which way the file's lists run: from the most influential unit down, or up to it."
    )


@attrs.frozen(kw_only=True)
class ClassFilters(Sized):
    """Options of ``class-filters``."""

    layer: tuple[str, ...] = opt((), "Layers by path, as layer3 or 'layer2.*'; none: what the read-out is given.")
    score: tuple[Score, ...] = opt(
        ("frequency", "random"), "Scores by which units are ranked, repeated measures side by side.", validator=min_len(1)
    )
    mass: float | None = opt(
        None,
        "In place of k: as many units as hold this fraction of a class's score.",
        validator=optional(and_(gt(0), le(1))),
    )
    split: Literal["train", "test"] = opt("train", "Samples that are counted.")

    def __attrs_post_init__(self) -> None:
        if self.mass is not None and self.k:
            raise ValueError("mass and k both say how many units a class gets; give one of them")


@attrs.frozen(kw_only=True)
class Essential(Sized, Given):
    """Options of ``essential``."""

    score: tuple[Score, ...] = opt(
        ("frequency", "random"), "Scores by which units are found; with --indices, beside the file's.", validator=min_len(1)
    )
    replace: tuple[Replacement, ...] = opt(
        ("noise",),
        "What units are overwritten with: noise of deviation --scale, noise of the unit's own mean and deviation (matched), "
        "zero, the unit's mean, or its values on other samples (shuffle).",
        validator=min_len(1),
    )
    scale: float = opt(1.0, "Standard deviation of noise.", validator=gt(0))
    draws: int = opt(20, "Draws, of noise and of random units.", validator=ge(1))
    others: bool = opt(False, "Also what overwriting a class's units does to the samples of the other classes.")


@attrs.frozen(kw_only=True)
class MutualInformation(Sized, Given):
    """Options of ``mutual-information``."""

    score: tuple[Score, ...] = opt((), "Scores by which units are found; none: frequency, weight, random, and gates if any.")
    draws: int = opt(40, "Draws of random units.", validator=ge(1))


@attrs.frozen(kw_only=True)
class Selectivity:
    """Options of ``selectivity``."""

    layer: tuple[str, ...] = opt((), "Layers by path, as 'layer?'; none: every ReLU, and what the read-out is given.")
    fraction: float = opt(0.5, "Fraction of a sample's response that psi asks for.", validator=and_(gt(0), lt(1)))
    split: Literal["train", "test"] = opt("train", "Samples that are measured.")


@attrs.frozen(kw_only=True)
class Decompose(Sized, Given, Train):
    """Options of ``decompose``: those of the filters, and of the training that may follow."""

    score: tuple[Score, ...] = opt(
        (), "Scores by which units are found, the first one for the network; none: frequency (or the file), weight, random."
    )
    draws: int = opt(20, "Random sets that are averaged.", validator=ge(1))
    finetune: Literal["none", "head", "all"] = opt(
        "none", "Then train the decomposed layer on features computed once, or, as the original does, the whole network."
    )
    epochs: int = opt(10, "Passes over the training images.", validator=ge(1))
    batch_size: int = opt(64, "Images per optimiser step.", validator=ge(1))
    optimizer: Literal["sgd", "adam", "adamw"] = opt("adam", "Optimiser.")
    lr: float = opt(2e-4, "Peak learning rate.", validator=gt(0))
    weight_decay: float = opt(0.0, "L2 penalty (decoupled in adamw).", validator=ge(0))
    schedule: Literal["cosine", "constant", "step"] = opt("constant", "Learning rate over the epochs.")


@attrs.frozen(kw_only=True)
class GateTrain(Train):
    """Options of ``gate-train``."""

    gate_warmup: int = opt(10, "Epochs before the first with gates.", validator=ge(0))
    period: int = opt(3, "Epochs of a round.", validator=ge(1))
    plain: int = opt(1, "Epochs at the beginning of each round that train without gates.", validator=ge(0))
    penalty: float = opt(1e-3, "Weight of the gates' sum beyond the budget in the loss.", validator=ge(0))
    budget: float = opt(0.2, "Fraction of the gates' largest possible sum that is free.", validator=and_(ge(0), le(1)))
    gate_init: float = opt(0.5, "First value of every gate.", validator=and_(ge(0), le(1)))
    normalise: bool = opt(True, "After each step scale each unit's gates to a largest one of 1, and clamp them to [0, 1].")

    def __attrs_post_init__(self) -> None:
        Train.__attrs_post_init__(self)
        if self.compile:
            raise ValueError("gates look at the labels, which a compiled network does not see; leave compile out")
        if self.plain >= self.period:
            raise ValueError(f"all {self.period} epochs of a round are plain; make plain smaller than period")


@attrs.frozen(kw_only=True)
class SelectivityFinetune(Train):
    """Options of ``selectivity-finetune``."""

    alpha: float = opt(0.1, "Weight of selectivity in the loss: above 0 lowers it, below 0 raises it.")
    layers: tuple[str, ...] = opt((), "Layers whose selectivity counts, by path; none: every ReLU.")
    epochs: int = opt(10, "Passes over the training images.", validator=ge(1))
    optimizer: Literal["sgd", "adam", "adamw"] = opt("adam", "Optimiser.")
    lr: float = opt(2e-4, "Peak learning rate.", validator=gt(0))
    weight_decay: float = opt(0.0, "L2 penalty (decoupled in adamw).", validator=ge(0))
    schedule: Literal["cosine", "constant", "step"] = opt("constant", "Learning rate over the epochs.")

    def __attrs_post_init__(self) -> None:
        Train.__attrs_post_init__(self)
        if self.compile:
            raise ValueError("layers are listened to, which a compiled network does not permit; leave compile out")
