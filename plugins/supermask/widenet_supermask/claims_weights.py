"""Figures 6 and 7: masks that are sampled in place of ranked, and other distributions of the random weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from widenet import Claim, Panel, Recipe, Stage
from widenet.recipes import Measure, difference
from widenet_supermask.claims_shared import FULL, PAPER, SEEDS, SMALL, SMOKE, Options, Row, accuracies, fractions

NETS = ("conv2", "conv4", "conv6", "conv8")
RANKED, SAMPLED = "edge-popup", "sampled"
DRAWN: Options = {"variant": "sample", "weight_decay": 0.0, "eval_samples": 1, "batch_size": 128, "lr": 200.0}
"""Scores that are sampled by need large rates; evaluated under a mask that is drawn, as in the paper's code."""
INITS = ("signed_constant", "kaiming_normal", "kaiming_uniform", "xavier_normal")


# -- figure 7 ----------------------------------------------------------------------------------------------------------


def initialisation(study: Any) -> Iterable[Row]:
    """Accuracy of supermasks of Conv4 by the distribution that its random weights are drawn from.

    The paper compares signed constants, Kaiming-normal, Kaiming-uniform and Xavier-normal weights on CIFAR-10 over the
    fraction kept. small: a quarter of the width, six epochs.
    """
    return accuracies(study)


def _by_init(options: Options, arch: str, keep: Sequence[float], seeds: Sequence[int]) -> list[Stage]:
    return [Stage("supermask", {**options, "arch": arch}, {"init": INITS, "keep": keep, "seed": seeds})]


def _better(text: str, one: str, other: str, paper: str) -> Claim:
    measure = difference("test_accuracy", {"init": one}, {"init": other})
    return Claim(text, measure, "figure 7", paper=paper, above=0.0, unit="%")


INITIALISATION = Recipe(
    "initialisation",
    initialisation,
    scales={
        "smoke": _by_init(SMOKE, "conv4:width=0.125", [0.5], range(2)),
        "small": _by_init(SMALL, "conv4:width=0.25", fractions(3, 5, 7), range(3)),
        "paper": _by_init(FULL, "conv4", fractions(1, 3, 5, 7, 9), SEEDS),
    },
    panels=[
        Panel("keep", "test_accuracy", by="init", x_label="fraction kept", y_label="test accuracy", title="Conv4", percent=True)
    ],
    claims=[
        _better("signed constants do better than Kaiming-normal weights", INITS[0], INITS[1], "best of all"),
        _better("signed constants do better than Kaiming-uniform weights", INITS[0], INITS[2], "best of all"),
        _better(
            "the scale matters: Kaiming-normal weights do better than Xavier's smaller ones", INITS[1], INITS[3], "matters"
        ),
    ],
    source=PAPER,
)


# -- figure 6 ----------------------------------------------------------------------------------------------------------


def sampling(study: Any) -> Iterable[Row]:
    """Accuracy of masks that edge-popup finds, beside masks sampled by the probability of each weight (Zhou et al. 2019).

    The paper compares both in Conv2 to Conv8 on CIFAR-10. Rates and weight decay of the sampled ones are those of its code, as
    is evaluating under a mask that is drawn. small: a quarter of the width, six epochs.
    """
    return accuracies(study)


def on_every_network(y: str, one: str, other: str) -> Measure:
    """The least that label ``one`` has more of ``y`` than ``other``, over networks, seed by seed."""

    def measure(rows: Sequence[Any]) -> list[float]:
        found: dict[Any, list[float]] = {}
        values = {(row["label"], row["network"], row["seed"]): row[y] for row in rows}
        for (label, network, seed), value in values.items():
            if label == one and (other, network, seed) in values:
                found.setdefault(seed, []).append(value - values[other, network, seed])
        return [min(differences) for differences in found.values()]

    return measure


def _both(options: Options, nets: Sequence[str], seeds: Sequence[int]) -> list[Stage]:
    grid = {"arch": nets, "seed": seeds}
    return [
        Stage("supermask", options, grid, label=RANKED),
        Stage("supermask", {**options, **DRAWN}, grid, label=SAMPLED),
    ]


def _both_in_full() -> list[Stage]:
    ranked, _ = _both(FULL, NETS, SEEDS)
    presets = [f"{net}_usc_sample" for net in NETS]
    return [ranked, Stage("supermask", {"dataset": "cifar10"}, {"preset": presets, "seed": SEEDS}, label=SAMPLED)]


SAMPLING = Recipe(
    "sampling",
    sampling,
    scales={
        "smoke": _both(SMOKE, ["conv2:width=0.125"], range(2)),
        "small": _both(SMALL, [f"{net}:width=0.25" for net in NETS], range(3)),
        "paper": _both_in_full(),
    },
    panels=[
        Panel(
            "network", "test_accuracy", y_label="test accuracy", title="half of the weights kept, or as sampled", percent=True
        )
    ],
    claims=[
        Claim(
            "edge-popup does better than sampling on average over the networks",
            difference("test_accuracy", {"label": RANKED}, {"label": SAMPLED}),
            "figure 6",
            paper="clearly better",
            above=0.0,
            unit="%",
        ),
        Claim(
            "edge-popup does better than sampling in every network (the least difference)",
            on_every_network("test_accuracy", RANKED, SAMPLED),
            "figure 6",
            paper="better in all",
            above=0.0,
            unit="%",
        ),
    ],
    source=PAPER,
)
