"""Figures 4 and 5: supermasks of networks of growing width, keeping half of the weights or always as many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from widenet import Claim, Panel, Recipe, Stage
from widenet.recipes import at_largest, extremes
from widenet_supermask.claims_shared import (
    FULL,
    FULL_DENSE,
    PAPER,
    QUICK_DENSE,
    SEEDS,
    SMALL,
    SMOKE,
    SUPERMASK,
    TRAINED,
    Options,
    Row,
    accuracies,
    with_gaps,
)

AS_MANY = "supermask, as many kept"
DENSEST = 0.8
"""Fraction kept of the narrowest of networks that keep as many weights."""
HALF: Options = {"label": SUPERMASK, "network": "conv6"}


def width(study: Any) -> Iterable[Row]:
    """Accuracy of supermasks, and of training the same networks' weights, against width: half kept, or always as many.

    The paper widens Conv4 and Conv6 on CIFAR-10 and keeps half of the weights (figure 4), or a fraction that leaves as many in
    a wider network (figure 5). Its code records no widths; those here are our choice. Weights grow with the square of the
    width within a few per cent, by which the fraction falls, from 0.8 to 0.3. small: Conv6 of up to half the width, six
    epochs, dense training by Adam.
    """
    rows = with_gaps(accuracies(study), "network", "width", "seed")
    return [{**row, "line": f"{row['network']}, {row['label']}"} for row in rows]


def _stages(
    options: Options, nets: Sequence[str], widths: Sequence[float], seeds: Sequence[int], dense: Options
) -> list[Stage]:
    grid = {"arch": nets, "width": widths, "seed": seeds}
    return [
        Stage("supermask", options, grid, label=SUPERMASK),
        Stage("supermask", dense, grid, label=TRAINED),
    ]


def _as_many(options: Options, nets: Sequence[str], widths: Sequence[float], seeds: Sequence[int]) -> list[Stage]:
    """A stage a width, as its fraction kept goes with it."""
    kept = {wide: round(DENSEST * (widths[0] / wide) ** 2, 3) for wide in widths}
    return [
        Stage("supermask", {**options, "keep": kept[wide]}, {"arch": nets, "width": [wide], "seed": seeds}, label=AS_MANY)
        for wide in widths
    ]


def _scale(
    options: Options,
    nets: Sequence[str],
    widths: Sequence[float],
    as_many: Sequence[float],
    seeds: Sequence[int],
    dense: Options | None = None,
) -> list[Stage]:
    return [
        *_stages(options, nets, widths, seeds, dense or {**options, **QUICK_DENSE}),
        *_as_many(options, nets, as_many, seeds),
    ]


CONV6 = ["conv6"]
WIDTHS = [0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2]

WIDTH = Recipe(
    "width",
    width,
    scales={
        "smoke": _scale(SMOKE, CONV6, [0.0625, 0.25], [0.125, 0.2], [0]),
        "small": _scale(SMALL, CONV6, [0.125, 0.25, 0.5], [0.125, 0.16, 0.2], range(3)),
        "paper": _scale(FULL, ["conv4", *CONV6], WIDTHS, [1, 1.25, 1.6], SEEDS, FULL_DENSE),
    },
    panels=[
        Panel(
            "width",
            "test_accuracy",
            by="line",
            x_label="factor on the width",
            y_label="test accuracy",
            log_x=True,
            percent=True,
        )
    ],
    claims=[
        Claim(
            "trained weights are ahead of the widest Conv6's supermask by less than a point",
            at_largest("width", "gap", **HALF),
            "figure 4",
            paper="as good",
            below=0.01,
            unit="%",
        ),
        Claim(
            "this lead shrinks from the narrowest Conv6 to the widest (its change)",
            extremes("width", "gap", **HALF),
            "figure 4",
            paper="shrinks",
            below=0.0,
            unit="%",
        ),
        Claim(
            "the supermask of the widest Conv6 does better than that of the narrowest",
            extremes("width", "test_accuracy", **HALF),
            "figure 4",
            paper="better",
            above=0.0,
            unit="%",
        ),
        Claim(
            "keeping as many weights, a wider and sparser Conv6 does better than a narrower and denser one",
            extremes("width", "test_accuracy", label=AS_MANY, network="conv6"),
            "figure 5",
            paper="better",
            above=0.0,
            unit="%",
        ),
    ],
    source=PAPER,
)
