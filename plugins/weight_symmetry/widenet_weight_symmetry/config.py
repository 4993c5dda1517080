"""Options of the methods and of the analysis ``symmetry``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs
from attrs.validators import and_, ge, gt, le, lt, optional

from widenet import Train, opt
from widenet_weight_symmetry.rates import parse

MaskType = Literal["symmetric", "random", "per-neuron", "per-neuron-no-input-ablation", "bernoulli", "n-m"]
Init = Literal["kaiming-sparse", "xavier-sparse", "unit-scaled", "layer-scaled", "none"]

SPARSITY = 0.9
"""Where none is given."""


def one_minus(value: float) -> float:
    """Fraction of each layer's weights that is KEPT."""
    return round(1 - value, 12)


def zeros(default: float) -> float:
    """The option for how sparse a mask is."""
    text = "Fraction of each masked layer's weights that is REMOVED (zeros)."
    made: float = opt(default, text, validator=and_(ge(0), lt(1)), also={"keep": one_minus})
    return made


@attrs.frozen(kw_only=True)
class Study(Train):
    """Training as the study configures it, and which layers it masks."""

    masked_layers: tuple[str, ...] = opt(
        (),
        "Layers that are masked, by position from 0 or pattern of their paths, as 0,fc2; none given masks all but the last.",
    )
    optimizer: Literal["sgd", "adam", "adamw"] = opt("adamw", "Optimiser.")
    lr: float = opt(0.01, "Peak learning rate.", validator=gt(0))
    weight_decay: float = opt(1e-5, "L2 penalty (decoupled in adamw).", validator=ge(0))


@attrs.frozen(kw_only=True)
class Masked(Study):
    """Training under masks that are drawn once."""

    mask_seed: int | None = opt(None, "Where masks come from; none takes the run's seed.", validator=optional(ge(0)))
    init: Init = opt("kaiming-sparse", "First weights of masked layers; none keeps those of the architecture.")


@attrs.frozen(kw_only=True)
class Typed(Masked):
    """Masks of a type to choose."""

    mask_type: MaskType = opt("random", "What the masks have in common from neuron to neuron.")
    group: int = opt(4, "M of n-m: of every M inputs in a row each neuron keeps the same number.", validator=ge(1))
    fan_in: int | None = opt(
        None, "Inputs that each neuron keeps (per-neuron types), in place of a sparsity.", validator=optional(ge(1))
    )
    propagate: bool = opt(True, "Remove what neurons without inputs send on as well, layer after layer.")

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.fan_in is not None and not self.mask_type.startswith("per-neuron"):
            raise ValueError(f"fan_in means nothing for mask_type {self.mask_type}, only for per-neuron types")
        if self.mask_type == "n-m" and not self._whole():
            raise ValueError(
                f"mask_type n-m keeps a whole number of every {self.group} inputs: give a sparsity of 1/{self.group}, "
                f"2/{self.group}, ... below 1, or another group"
            )
        if self.group != 4 and self.mask_type != "n-m":
            raise ValueError(f"group means nothing for mask_type {self.mask_type}, only for n-m")

    def _whole(self) -> bool:
        """Whether masks of type n-m can have the sparsity."""
        removed = getattr(self, "sparsity", 0.5 / self.group) * self.group
        return abs(removed - round(removed)) < 1e-6


@attrs.frozen(kw_only=True)
class ShuffledMask(Typed):
    """Options of ``wn run shuffled-mask``."""

    sparsity: float = zeros(SPARSITY)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.fan_in is not None and self.sparsity != SPARSITY:
            raise ValueError("fan_in says how many inputs are kept, and so does sparsity; give one or the other")


@attrs.frozen(kw_only=True)
class RandomMask(Typed):
    """Options of ``wn run random-mask``."""

    mask_type: MaskType = opt("bernoulli", "What the masks have in common from neuron to neuron.")
    min_sparsity: float = opt(0.5, "Least fraction removed that may be drawn.", validator=and_(ge(0), lt(1)))
    max_sparsity: float = opt(0.99, "Largest fraction removed that may be drawn.", validator=and_(ge(0), lt(1)))

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.min_sparsity > self.max_sparsity:
            raise ValueError(f"min_sparsity {self.min_sparsity} is above max_sparsity {self.max_sparsity}")
        if self.fan_in is not None:
            raise ValueError("fan_in leaves no sparsity to draw; use shuffled-mask")


@attrs.frozen(kw_only=True)
class FixedParam(Masked):
    """Options of ``wn run fixed-param``."""

    sparsity: float = zeros(SPARSITY)


@attrs.frozen(kw_only=True)
class Prune(Study):
    """Options of ``wn run prune``."""

    sparsity: float = zeros(SPARSITY)
    prune_after: int | None = opt(
        None, "Epochs before one-shot pruning; none takes half of them, or 0 with --from.", validator=optional(ge(0))
    )
    rates: tuple[str, ...] = opt(
        (),
        "Iterative pruning: EPOCHS=SPARSITY, reached after so many epochs, as 2=0.3,5=0.6; fc1@2=0.3 is for some layers.",
    )
    scope: Literal["layer", "global"] = opt("layer", "Weights that compete: those of a layer, or all.")
    floor: float = opt(0.0, "Fraction that each layer keeps at least (scope global).", validator=and_(ge(0), le(1)))
    of: Literal["all", "survivors"] = opt("all", "What a rate is a fraction of: all weights, or those left so far.")
    rewind: bool = opt(False, "Put the weights that are left back to their first values after each pruning.")
    compat: Literal["none", "original"] = opt(
        "none", "original repeats the published code's slip: one weight more is removed than asked for."
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.rates and self.prune_after is not None:
            raise ValueError("rates say when to prune; leave prune_after out")
        if self.rates and self.sparsity != SPARSITY:
            raise ValueError("rates say how much to prune; leave sparsity out")
        if self.floor and self.scope != "global":
            raise ValueError("floor needs scope global, where layers compete")
        schedule = parse(self.rates or [f"{self.prune_after or 0}={self.sparsity}"], self.of)
        if self.compat == "original" and (self.scope, self.of) != ("layer", "all"):
            raise ValueError("compat original prunes each layer by itself, by fractions of all its weights")
        if (self.prune_after or 0) >= self.epochs:
            raise ValueError(f"prune_after {self.prune_after} never comes in a run of {self.epochs} epochs")
        if schedule.last >= self.epochs:
            raise ValueError(f"rates prune after {schedule.last} epochs, which never comes in a run of {self.epochs}")


@attrs.frozen(kw_only=True)
class Symmetry:
    """What is counted, and of which masks."""

    exact: bool = opt(False, "Count the permutations that move units of several layers at once as well (needs igraph).")
    limit: float = opt(60.0, "Seconds for the exact count; where they do not do, a lower bound is given.", validator=gt(0))
    integer: bool = opt(False, "Give the number of permutations in full, as text, and how many digits it has.")
    propagate: bool = opt(False, "Count once more without what units send on that read nothing.")
    masks: Path | None = opt(
        None,
        "HDF5 file of masks, each of a layer that reads the one before; counted, the last as well, in place of the run's.",
    )
