"""Recipes that hold a plain network's units against those of one with class-specific gates: noise, and mutual information."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from widenet import Claim, Panel, Recipe
from widenet.recipes import SCALES, difference
from widenet_decompose.claims_stages import PAPER, both, units

PLAIN, LOWEST, HIGHEST = "plain: most frequent", "gated: lowest gates", "gated: highest gates"
SUBSET = 1017
"""Test images that the authors' code and network were measured on."""
CODE = "authors' code, run on their network"
CHECKPOINT = "not in the paper; from its checkpoint"
DRAWS = {"smoke": 5, "small": 20, "paper": 20}


def noise(study: Any) -> Iterator[dict[str, Any]]:
    """Accuracy when noise overwrites the units of a sample's own class, or all others; plain and gated networks.

    The paper finds a plain network's units essential and a gated one's not, and took the five lowest gates of each class for
    the latter. Here are the highest as well, and noise of each unit's own mean and deviation beside N(0, 1), which also tells
    the network that the units are silent. It had one network of each kind; small scale trains 15 epochs.
    """
    for row in study.rows("essential"):
        names = ("seed", "k", "replace", "overwritten", "accuracy", "deviation", "clean")
        yield {"units": units(row), **{name: row[name] for name in names}}


def information(study: Any) -> Iterator[dict[str, Any]]:
    """What the units of different classes have in common: mutual information of their sets, plain and gated networks.

    The paper averages over all pairs, those of a class with itself included, which the number of units alone decides; and
    took the lowest gates for the gated network's units. Here are pairs of different classes, overlap and the highest gates
    beside. It had one network of each kind; small scale trains 15 epochs.
    """
    for row in study.rows("mutual-information"):
        names = ("seed", "k", "all_pairs", "off_diagonal", "self", "jaccard", "distinct", "random_off_diagonal")
        yield {"units": units(row), **{name: row[name] for name in names}}


def _hits(*counts: float) -> dict[int, float]:
    """Fractions of the images, for 5, 10 and 20 units a class."""
    return {k: count / SUBSET for k, count in zip((5, 10, 20), counts, strict=False)}


def _noise_panel(overwritten: str, replace: str, **paper: dict[int, float]) -> Panel:
    what = {"own": "own units", "rest": "all others"}[overwritten]
    by = {"noise": "by N(0, 1)", "matched": "by noise about their means"}[replace]
    return Panel(
        *("k", "accuracy", "units", {"replace": replace, "overwritten": overwritten}),
        x_label="units of each class",
        y_label="test accuracy",
        title=f"{what} overwritten {by}",
        percent=True,
        paper={{"plain": PLAIN, "gated": LOWEST}[name]: values for name, values in paper.items()},
    )


def _own_less_rest(text: str, sets: str, source: str, paper: float | str, replace: str = "noise", **bound: float) -> Claim:
    at = {"units": sets, "k": 5, "replace": replace}
    measure = difference("accuracy", {**at, "overwritten": "own"}, {**at, "overwritten": "rest"})
    return Claim(text, measure, source, paper, unit="%", **bound)


NOISE = Recipe(
    "noise",
    noise,
    scales={scale: both("essential", scale, {"replace": "noise,matched", "draws": DRAWS[scale]}) for scale in SCALES},
    panels=[
        _noise_panel("own", "noise", plain=_hits(483.6, 102.2, 12.0), gated=_hits(940.6)),
        _noise_panel("rest", "noise", plain=_hits(867.6, 985.6, 1007.2), gated=_hits(45.8)),
        _noise_panel("own", "matched"),
        _noise_panel("rest", "matched"),
    ],
    claims=[
        _own_less_rest(
            "Five units are essential: accuracy without them, less that without all others",
            *(PLAIN, CODE, (483.6 - 867.6) / SUBSET),
            below=0.0,
        ),
        _own_less_rest(
            *("The same, of noise about each unit's mean", PLAIN, "not in the paper", "not tested", "matched"), below=0.0
        ),
        _own_less_rest(
            *("A gated network's are not, by lowest gates: the same difference", LOWEST, CODE, (940.6 - 45.8) / SUBSET),
            above=0.0,
        ),
        _own_less_rest(*("A gated network's are not, by highest gates", HIGHEST, CHECKPOINT, (249 - 938) / SUBSET), above=0.0),
    ],
    source=PAPER,
)


def _information_panel(y: str, label: str, paper: dict[str, dict[int, float]] | None = None) -> Panel:
    return Panel("k", y, "units", x_label="units of each class", y_label=label, paper=paper or {})


def _by_k(*values: float) -> dict[int, float]:
    return dict(zip((5, 10, 20), values, strict=True))


def _less(text: str, y: str, other: str, source: str, paper: float | str) -> Claim:
    return Claim(text, difference(y, {"units": PLAIN, "k": 5}, {"units": other, "k": 5}), source, paper, below=0.0, unit="nats")


INFORMATION = Recipe(
    "information",
    information,
    scales={scale: both("mutual-information", scale, {"draws": 40}) for scale in SCALES},
    panels=[
        _information_panel(
            *("all_pairs", "mutual information, all pairs (nats)"),
            {PLAIN: _by_k(0.034538, 0.057050, 0.070803), LOWEST: _by_k(0.037509, 0.054036, 0.081744)},
        ),
        _information_panel(
            *("off_diagonal", "the same, different classes (nats)"),
            {PLAIN: _by_k(0.00791, 0.01523, 0.00966), LOWEST: _by_k(0.01121, 0.01188, 0.02182)},
        ),
        _information_panel("jaccard", "overlap of classes (Jaccard index)"),
        _information_panel("distinct", "units that any class has", {PLAIN: _by_k(32, 47, 60)}),
    ],
    claims=[
        _less(
            "Classes share less than in a gated network: information, less its lowest gates'",
            *("all_pairs", LOWEST, CODE, 0.034538 - 0.037509),
        ),
        _less(
            "The same, less its highest gates'",
            *("all_pairs", HIGHEST, CHECKPOINT, 0.034538 - 0.03394),
        ),
        _less(
            "They share less than chance: of different classes, less random sets'",
            *("off_diagonal", "plain: random", CHECKPOINT, 0.00791 - 0.00812),
        ),
    ],
    source=PAPER,
)
