"""Figure 3: supermasks of networks of growing depth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from widenet import Claim, Panel, Recipe, Stage
from widenet.recipes import at_largest, difference, extremes
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
    fractions,
    with_gaps,
    with_peaks,
)

NETS = ("conv2", "conv4", "conv6", "conv8")
NORMAL, ADAM = f"{SUPERMASK}, Kaiming normal", f"{TRAINED}, Adam"
SHOWN: Options = {"label": SUPERMASK, "peak": True}


def depth(study: Any) -> Iterable[Row]:
    """Accuracy of supermasks, and of training the same networks' weights, against depth and against the fraction kept.

    The paper finds supermasks in Conv2 to Conv8 on CIFAR-10, keeping a tenth to nine tenths of random weights that are
    Kaiming normal or signed constants, and trains the same networks densely with SGD and Adam: a hundred epochs. small: a
    quarter of the width, six epochs, signed constants, Adam. A network's fraction kept is that of the best mean over seeds.
    """
    rows = [{**row, "depth": int(row["network"].removeprefix("conv"))} for row in accuracies(study)]
    return with_peaks(with_gaps(rows, "network", "seed"), "label", "network")


def _stages(options: Options, nets: Sequence[str], seeds: Sequence[int], keep: Sequence[float]) -> list[Stage]:
    grid = {"arch": nets, "seed": seeds}
    return [
        Stage("supermask", options, {**grid, "keep": keep}, label=SUPERMASK),
        Stage("supermask", {**options, **QUICK_DENSE}, grid, label=TRAINED),
    ]


def _full() -> list[Stage]:
    keep, normal = fractions(1, 3, 5, 7, 9), {**FULL, "init": "kaiming_normal"}
    masked, trained = _stages(FULL, NETS, SEEDS, keep)
    return [
        masked,
        Stage("supermask", normal, masked.grid, label=NORMAL),
        Stage("supermask", FULL_DENSE, trained.grid, label=TRAINED),
        Stage("supermask", {}, {"preset": [f"{net}_adam_baseline" for net in NETS], "seed": SEEDS}, label=ADAM),
    ]


def _narrow(width: float, *nets: str) -> list[str]:
    return [f"{net}:width={width}" for net in nets]


DEPTH = Recipe(
    "depth",
    depth,
    scales={
        "smoke": _stages(SMOKE, _narrow(0.125, "conv2", "conv4"), [0], fractions(1, 5, 9)),
        "small": _stages(SMALL, _narrow(0.25, *NETS), range(3), fractions(1, 5, 9)),
        "paper": _full(),
    },
    panels=[
        Panel(
            "network",
            "test_accuracy",
            where={"peak": True},
            y_label="test accuracy",
            title="at the best fraction kept",
            percent=True,
            paper={
                SUPERMASK: {"conv2": 0.775, "conv4": 0.86, "conv6": 0.88, "conv8": 0.885},
                TRAINED: {"conv2": 0.795, "conv4": 0.865, "conv6": 0.885, "conv8": 0.88},
            },
        ),
        Panel(
            "keep",
            "test_accuracy",
            by="network",
            where={"label": SUPERMASK},
            x_label="fraction kept",
            y_label="test accuracy",
            title="supermasks",
            percent=True,
        ),
    ],
    claims=[
        Claim(
            "trained weights are ahead of the deepest network's supermask by less than a point",
            at_largest("depth", "gap", **SHOWN),
            "figure 3, read off",
            paper=-0.005,
            below=0.01,
            unit="%",
        ),
        Claim(
            "this lead shrinks from the shallowest network to the deepest (its change)",
            extremes("depth", "gap", **SHOWN),
            "figure 3, read off",
            paper=-0.025,
            below=0.0,
            unit="%",
        ),
        *(
            Claim(
                f"a supermask that keeps half of the weights does better than one of {words}",
                difference("test_accuracy", {"label": SUPERMASK, "keep": 0.5}, {"label": SUPERMASK, "keep": keep}),
                "figure 3",
                paper="better",
                above=0.0,
                unit="%",
            )
            for words, keep in (("a tenth", 0.1), ("nine tenths", 0.9))
        ),
    ],
    source=PAPER,
)
