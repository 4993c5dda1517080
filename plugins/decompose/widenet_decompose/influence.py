"""The units of a layer that count most for each class, by any of several scores.

Source: Badola et al. 2023, where the score is the frequency with which a unit is among an image's k largest; the others are
there to compare with.
"""

from __future__ import annotations

from typing import Any, get_args

import torch
from torch import Tensor

from widenet_decompose.config import Score
from widenet_decompose.tally import COUNTED, Tally, median_shares, summed

SCORES: tuple[str, ...] = get_args(Score)
WEIGHTED = ("contribution", "contribution-frequency", "contrast", "weight")
"""Scores that need the read-out's weights."""
GATED = ("gate", "lowest-gate")
"""Scores that need gates."""
DATA_FREE = ("weight", *GATED, "random")
"""Scores that need no data."""


def ranked(score: Tensor, tie: Tensor | None = None) -> Tensor:
    """Units by falling score for each class, int64 (C, F); of equal ones by falling ``tie``, then the first."""
    if tie is None:
        return score.argsort(dim=1, descending=True, stable=True)
    order = tie.argsort(dim=1, descending=True, stable=True)
    return order.gather(1, score.gather(1, order).argsort(dim=1, descending=True, stable=True))


def holding(score: Tensor, ranking: Tensor, fraction: float) -> Tensor:
    """The smallest sets of first-ranked units that hold this fraction of their class's summed score: bool mask (C, F).

    Negative scores count as 0. (The original keeps the units beyond the fraction instead: the larger it is, the fewer.)
    """
    held = score.clamp(min=0).gather(1, ranking).double()
    before = held.cumsum(1) - held
    kept = before < fraction * held.sum(1, keepdim=True)
    return torch.zeros_like(kept).scatter_(1, ranking, kept)


def random_ranking(classes: int, units: int, generator: torch.Generator) -> Tensor:
    """Units of each class in random order, int64 (C, F)."""
    return torch.rand(classes, units, generator=generator, dtype=torch.float64).argsort(1)


def influential_units(
    features: Any,
    labels: Any,
    k: int,
    score: str = "frequency",
    *,
    weight: Tensor | None = None,
    gates: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The k most influential units of each class, most influential first.

    Ties go to the unit with the larger mean share, then to the first. Source: Badola et al. 2023 (``frequency``).

    Args:
        features: float (N, F), a tensor or array.
        labels: int (N,), from 0; classes are those of ``weight`` or ``gates`` where given, else up to the highest label.
        k: how many units of each class, and for counted scores of each sample; 1 to F.
        score: one of :data:`SCORES`.
        weight: float (C, F) of the read-out, for contribution, contribution-frequency, contrast and weight.
        gates: float (C, F), for gate and lowest-gate.
        generator: for random.

    Returns:
        int64 (C, k).

    Raises:
        ValueError: unknown score, k beyond F, a class without samples, shapes that do not fit, a score without what it needs.
    """
    x, y = torch.as_tensor(features), torch.as_tensor(labels).long()
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(f"features must be (N, F) with N labels, not {tuple(x.shape)} and {tuple(y.shape)}")
    check_k(k, x.shape[1])
    if score not in SCORES:
        raise ValueError(f"unknown score {score!r}; choose one of {', '.join(SCORES)}")
    given = weight if score in WEIGHTED else gates if score in GATED else None
    if score in (*WEIGHTED, *GATED) and (given is None or given.ndim != 2 or given.shape[1] != x.shape[1]):
        raise ValueError(f"score {score} needs {'weight' if score in WEIGHTED else 'gates'} of shape (C, {x.shape[1]})")
    classes = int(y.max()) + 1 if given is None else len(given)
    tally = Tally(classes, x.shape[1], [k] if score in COUNTED else [], [score], weight)
    if score not in DATA_FREE:
        tally.update(x, y)
        tally.check(score)
    medians = median_shares([x], summed(x), y, classes) if score == "median" else None
    return ranking_of(tally, score, k, weight=weight, gates=gates, medians=medians, generator=generator)[:, :k]


def ranking_of(
    tally: Tally,
    score: str,
    k: int,
    *,
    weight: Tensor | None = None,
    gates: Tensor | None = None,
    medians: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """All units of each class by falling influence, int64 (C, F), from a tally that counted k.

    ``medians`` float64 (C, F) are of the shares, for the score of that name; the others are as for :func:`influential_units`.
    """
    classes, units = tally.means.shape
    if score == "random":
        return random_ranking(classes, units, generator or torch.Generator().manual_seed(0))
    if score == "weight" and weight is not None:
        return ranked(weight.double())
    if score in GATED and gates is not None:
        return ranked(gates.double() if score == "gate" else -gates.double())
    if score == "median" and medians is not None:
        tally.check(score)
    values = medians if medians is not None else tally.score(score, k)
    return ranked(values.to(tally.tie.device), tally.tie)


def check_k(k: int, units: int) -> None:
    """Refuse a number of units that the layer does not have: ValueError."""
    if not 1 <= k <= units:
        raise ValueError(f"k = {k} is not from 1 to the layer's {units} units; choose another")
