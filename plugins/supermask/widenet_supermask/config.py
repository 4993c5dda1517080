"""The options of ``wn run supermask`` and ``wn run supermask-import``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import attrs
from attrs.validators import and_, ge, gt, le, optional

from widenet import Train, opt

Variant = Literal["edge-popup", "sample", "signed", "fixed", "random", "magnitude", "dnw", "biprop", "iterand", "dense"]
Initialiser = Literal[
    "kaiming_normal",
    "kaiming_uniform",
    "signed_constant",
    "unsigned_constant",
    "xavier_normal",
    "xavier_uniform",
    "xavier_constant",
    "standard",
]
RANKED = ("edge-popup", "signed", "dnw", "biprop", "iterand")
"""Variants whose mask keeps the highest ranked weights, chosen anew after every step."""
LR_SCORES, LR_WEIGHTS = 0.2, 0.02
SCORED = ("edge-popup", "sample", "signed", "biprop", "iterand")
"""Variants that train scores."""
ONLY_FOR = {
    **dict.fromkeys(
        ("keep", "keep_for", "scale_fan"), tuple(name for name in get_args(Variant) if name not in ("sample", "dense"))
    ),
    "keep_start": RANKED,
    "anneal": RANKED,
    "freeze_scores": SCORED,
    "score_init": SCORED,
    "score_scale": SCORED,
    "train_weights": SCORED,
    "eval_samples": ("sample",),
    "redraw_every": ("iterand",),
    "redraw_rate": ("iterand",),
}
"""Options that mean something for some variants only."""


def one_minus(removed: float) -> float:
    """Fraction of each layer's weights that is removed."""
    return round(1 - removed, 12)  # 1 - 0.9 is 0.1


def overrides(keep_for: tuple[str, ...]) -> dict[str, float]:
    """Pattern -> kept fraction, of ``PATTERN=FRACTION`` pieces.

    Raises:
        ValueError: a piece of another form, a fraction outside (0, 1], a pattern given twice.
    """
    found: dict[str, float] = {}
    for piece in keep_for:
        pattern, sign, value = piece.rpartition("=")
        try:
            keep = float(value)
        except ValueError:
            sign, keep = "", 0
        if not (sign and pattern):
            raise ValueError(f"keep_for: {piece!r} is no PATTERN=FRACTION, such as fc1=0.2")
        if not 0 < keep <= 1:
            raise ValueError(f"keep_for: {piece!r} must keep a fraction above 0, up to 1")
        if pattern in found:
            raise ValueError(f"keep_for: {pattern!r} is given twice")
        found[pattern] = keep
    return found


@attrs.frozen(kw_only=True)
class Supermask(Train):
    """Options of ``wn run supermask``."""

    variant: Variant = opt("edge-popup", "How the mask is found, or what stands in for it.")
    keep: float = opt(
        0.5,
        "Fraction of each layer's weights that is KEPT (not removed).",
        validator=and_(gt(0), le(1)),
        also={"sparsity": one_minus},
    )
    keep_for: tuple[str, ...] = opt(
        (), "Another fraction for layers whose path matches, as fc1=0.2 or 'layer4.*=0.3,fc=1'; the last match counts."
    )
    scope: Literal["layer", "stage", "global"] = opt(
        "layer", "Weights that compete for a place: those of a layer, of a top-level module, or all."
    )
    floor: float = opt(0.01, "Fraction that each layer keeps at least, where layers compete.", validator=and_(ge(0), le(1)))
    keep_start: float = opt(1.0, "Fraction kept at first, with --anneal.", validator=and_(gt(0), le(1)))
    anneal: int = opt(0, "Epochs over which the kept fraction falls (cubically) from --keep-start to --keep.", validator=ge(0))
    freeze_scores: int = opt(
        0, "Epochs after which the scores stay as they are, and so does what they choose; 0 never.", validator=ge(0)
    )
    init: Initialiser = opt("signed_constant", "Distribution of the random weights.")
    fan: Literal["fan_in", "fan_out"] = opt("fan_in", "Fan that sets the scale of kaiming and (un)signed constant weights.")
    nonlinearity: Literal["relu", "leaky_relu", "selu", "tanh", "sigmoid", "linear"] = opt(
        "relu", "Nonlinearity that the gain of kaiming and (un)signed constant weights is for."
    )
    gain: float | None = opt(None, "Another gain than that of the nonlinearity.", validator=optional(gt(0)))
    scale_fan: bool = opt(
        False, "Count only kept weights in the fan, so that masking shrinks no activations: std / sqrt(keep)."
    )
    score_init: Literal["uniform", "normal", "constant", "magnitude"] = opt(
        "uniform", "First scores: of std 1/sqrt(3 fan_in), all alike, or proportional to |weight|."
    )
    score_scale: float = opt(1.0, "Factor on the first scores; their value where they are constant.")
    train_weights: bool = opt(
        False, "Train the weights too, at the rate of the scores; with --freeze-scores, from then on only."
    )
    train_norm: bool = opt(False, "Train batch norm's scale and shift where the network has them.")
    first_dense: bool = opt(False, "Leave the first layer unmasked and train its weights.")
    last_dense: bool = opt(False, "Leave the last layer unmasked and train its weights.")
    mask_bias: bool = opt(False, "Mask biases too; else they stay as they were drawn.")
    new_weights: bool = opt(False, "With --from: draw new random weights in place of that run's.")
    eval_samples: int = opt(
        0, "Masks drawn per evaluation of --variant sample, the metrics averaged; 0 takes the expected mask.", validator=ge(0)
    )
    redraw_every: int = opt(300, "Steps between redrawing dropped weights (iterand).", validator=ge(1))
    redraw_rate: float = opt(0.1, "Fraction of the dropped weights that is redrawn (iterand).", validator=and_(gt(0), le(1)))
    compat: Literal["none", "original"] = opt(
        "none", "original repeats the published code's slips: fans scaled by what is removed, dense layers frozen."
    )
    epochs: int = opt(30, "Passes over the training images.", validator=ge(1))
    batch_size: int = opt(64, "Images per optimiser step.", validator=ge(1))
    lr: float | None = opt(  # type: ignore[assignment]
        None, f"Peak learning rate; none takes {LR_SCORES} for scores, {LR_WEIGHTS} for weights.", validator=optional(gt(0))
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        overrides(self.keep_for)
        defaults = {field.name: field.default for field in attrs.fields(Supermask)}
        for name, variants in ONLY_FOR.items():
            if getattr(self, name) != defaults[name] and self.variant not in variants:
                raise ValueError(f"{name} means nothing for variant {self.variant}, only for {', '.join(variants)}")
        if self.anneal >= self.epochs:
            raise ValueError(f"anneal is {self.anneal} epochs, which leaves none of {self.epochs} with the final fraction")
        if self.keep_start != 1 and not self.anneal:
            raise ValueError("keep_start means nothing without anneal, the epochs over which keep falls")
        if self.freeze_scores >= self.epochs:
            raise ValueError(f"freeze_scores {self.freeze_scores} never comes in a run of {self.epochs} epochs")
        if not self.score_scale and self.variant != "sample":
            raise ValueError(f"score_scale 0 makes scores of 0, which get no gradient with variant {self.variant}")
        if self.scope != "layer" and self.variant not in RANKED:
            raise ValueError(f"scope {self.scope} needs a variant that ranks weights: {', '.join(RANKED)}")
        if self.scope != "layer" and self.floor > min(self.keep, self.keep_start):
            raise ValueError(f"floor {self.floor} is more than is kept at all")
        if self.compat == "original" and self.scale_fan and 1 in (self.keep, *overrides(self.keep_for).values()):
            raise ValueError("compat original scales the fan by what is removed, which is nothing with keep 1")


@attrs.frozen(kw_only=True)
class Import:
    """Options of ``wn run supermask-import``."""

    file: Path = opt(help="Checkpoint of the paper's code, other state dict, or what `wn export RUN --what seed` wrote.")
    keep: float | None = opt(
        None,
        "Fraction of each layer's weights that is KEPT (not removed); needed where scores choose, which do not tell it.",
        validator=optional(and_(gt(0), le(1))),
        also={"sparsity": one_minus},
    )
    variant: Literal["edge-popup", "sample", "fixed"] = opt(
        "edge-popup", "What scores mean: the largest |score| stay, each with probability sigmoid(score), or where they are 1."
    )

    def __attrs_post_init__(self) -> None:
        if self.keep is not None and self.variant != "edge-popup":
            raise ValueError(f"keep means nothing for variant {self.variant}, only for edge-popup")
