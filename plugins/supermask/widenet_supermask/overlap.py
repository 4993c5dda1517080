"""How much masks of several runs have in common, beside what chance alone would give."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import attrs

from widenet import UsageError

if TYPE_CHECKING:
    import numpy as np


@attrs.frozen
class Counts:
    """Two masks, or several pairs of them taken together.

    By chance, a mask with the same number of kept weights lies at random: how many are common to both is then hypergeometric
    with mean ``expected`` and ``variance``.
    """

    weights: int
    first: int
    """Weights kept in the first mask."""
    second: int
    common: int
    expected: float
    variance: float

    @property
    def row(self) -> dict[str, Any]:
        """Columns of the table; ``z`` is empty where chance leaves no choice."""
        return {
            "weights": self.weights,
            "kept_first": self.first,
            "kept_second": self.second,
            "common": self.common,
            "common_by_chance": self.expected,
            "jaccard": self._jaccard(self.common),
            "jaccard_by_chance": self._jaccard(self.expected),
            "hamming": self._hamming(self.common),
            "hamming_by_chance": self._hamming(self.expected),
            "z": (self.common - self.expected) / math.sqrt(self.variance) if self.variance else None,
        }

    def _jaccard(self, common: float) -> float:
        """Weights kept in both among those kept in either; 1 if there are none."""
        either = self.first + self.second - common
        return common / either if either else 1.0

    def _hamming(self, common: float) -> float:
        """Fraction of the weights that only one of the masks keeps."""
        return (self.first + self.second - 2 * common) / max(1, self.weights)


def count(one: np.ndarray, other: np.ndarray) -> Counts:
    """Compare two bool masks of one shape."""
    n, first, second = one.size, int(one.sum()), int(other.sum())
    # Whole numbers first: their product is beyond 64 bits for large layers, and exact in Python.
    variance = first * second * (n - first) * (n - second) / max(1, n * n * (n - 1))
    return Counts(n, first, second, int((one & other).sum()), first * second / max(1, n), variance)


def total(counts: Iterable[Counts]) -> Counts:
    """Layers taken together, each with a chance of its own."""
    return Counts(*map(sum, zip(*map(attrs.astuple, counts), strict=True)))


def mask_overlap(runs: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Yield a row a pair of runs and layer, and one of all its layers.

    Raises:
        UsageError: a run has no masks, or two have no layer in common.
    """
    for run in runs:
        if not run.has_masks():
            raise UsageError(f"{run.name} has no masks ({run.record['component']} makes none); `wn run supermask` makes some")
    for (first, masks), (second, others) in combinations([(run, run.masks()) for run in runs], 2):
        names = [name for name, mask in masks.items() if name in others and others[name].shape == mask.shape]
        if not names:
            raise UsageError(f"{first.name} and {second.name} have no layer of the same name and shape; compare others")
        if left := [name for name in {**masks, **others} if name not in names]:
            runs[0].say(f"left out of {first.name} and {second.name}, in one only or of another shape: {', '.join(left)}")
        counts = {name: count(masks[name], others[name]) for name in names}
        for layer, found in {**counts, "all": total(counts.values())}.items():
            yield {"first": first.name, "second": second.name, "layer": layer, **found.row}
