"""Finding the filters of a layer by any scores, from one pass over what it put out on the training samples."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import torch
from torch import Tensor

from widenet.capture import Captured
from widenet.errors import UsageError
from widenet.runs import Run
from widenet_decompose.features import ROWS
from widenet_decompose.filters import Filters
from widenet_decompose.influence import DATA_FREE, GATED, WEIGHTED, holding, random_ranking, ranked, ranking_of
from widenet_decompose.tally import COUNTED, Tally, frequencies, median_shares, needed, summed

LARGE = 2**32
"""Bytes of counters and masks beyond which a request is refused."""
COUNTERS = {"frequency": 5, "mass": 9, "contribution-frequency": 5}
"""Bytes that a unit takes for each class and size; of other scores the mask's one."""
NAMED = 8
"""Units that a remark names."""


@attrs.frozen(eq=False)
class Source:
    """All that scores of a layer's units are made of; ``captured`` is needed by those that need data.

    ``weight`` float (C, F) is that of the read-out where the layer is what it reads, ``gates`` (C, F) likewise.
    """

    run: Run
    layer: str
    classes: int
    units: int
    captured: Captured | None = None
    weight: Tensor | None = None
    gates: Tensor | None = None

    def check(self, scores: Sequence[str], ks: Sequence[int]) -> None:
        """Refuse what cannot be scored: UsageError."""
        for k in ks:
            if not 1 <= k <= self.units:
                raise UsageError(f"--k {k}: layer {self.layer} has {self.units} units; choose from 1 to {self.units}")
        for score in scores:
            if score in WEIGHTED and self.weight is None:
                raise UsageError(
                    f"score {score} needs weights, and {self.layer} is not what the read-out is given; leave it out"
                )
            if score in GATED and self.gates is None:
                raise UsageError(
                    f"score {score} needs gates, and {self.run.name} has none for {self.layer}; wn run gate-train trains some"
                )
        # Counters of a size, or a mask of it.
        each = sum(COUNTERS.get(score, 1) for score in scores)
        if (size := each * len(ks) * self.classes * self.units) > LARGE:
            raise UsageError(
                f"{len(ks)} sizes for {self.classes} classes of {self.units} units take {size / 1e9:.0f} GB; list fewer (--k)"
            )

    def tally(self, ks: Sequence[int], scores: Sequence[str] = ()) -> Tally:
        """Sums over the training samples, for these sizes and counted scores."""
        tally = Tally(self.classes, self.units, ks, scores, self.weight, self.run.device)
        for features, labels in self._captured.batches(self.layer, ROWS):
            tally.update(features, labels)
        return tally

    def frequencies(self, sizes: Sequence[int]) -> Tensor:
        """As :func:`~widenet_decompose.tally.frequencies`, for a size of each class."""
        return frequencies(self._captured.batches(self.layer, ROWS), sizes, self.units)

    def medians(self) -> Tensor:
        """Median share of each unit, float64 (C, F), read by units rather than by samples."""
        total = torch.cat([summed(features) for features, _ in self._captured.batches(self.layer, ROWS)])
        return median_shares(self._captured.columns(self.layer), total, self._captured.labels, self.classes)

    def needed(self, fraction: float) -> list[int]:
        """For each class, how many of a sample's largest responses hold this fraction of their sum, on average; at least 1."""
        sums, counts = torch.zeros(2, self.classes, dtype=torch.float64)
        for features, labels in self._captured.batches(self.layer, ROWS):
            sums.index_add_(0, labels, needed(features, fraction).double())
            counts += labels.bincount(minlength=self.classes)
        return [max(1, int(mean)) for mean in sums / counts.clamp(min=1)]

    def random(self, number: int = 0) -> Tensor:
        """The ``number``-th random ranking (C, F)."""
        return random_ranking(self.classes, self.units, self.run.generator("filters", self.layer, "random", number))

    @property
    def _captured(self) -> Captured:
        assert self.captured is not None, "scores of data need what the layer put out"
        return self.captured


@attrs.frozen(eq=False)
class Found:
    """Filters by score and size (``5``, or ``50%`` of the score), and the tally they come from, if there is one."""

    filters: dict[tuple[str, str], Filters]
    tally: Tally | None


def find(source: Source, scores: Sequence[str], ks: Sequence[int], fraction: float | None = None) -> Found:
    """Filters by each score: the k first units of each class, or as many as hold a fraction of the score.

    Raises:
        UsageError: a size that the layer does not have, a score without what it needs, a class without samples.
    """
    source.check(scores, ks)
    try:
        return _sized(source, scores, ks) if fraction is None else _holding(source, scores, fraction)
    except ValueError as error:
        raise UsageError(f"{source.layer}: {error}") from None


def _sized(source: Source, scores: Sequence[str], ks: Sequence[int]) -> Found:
    tally = source.tally(ks, scores) if set(scores) - set(DATA_FREE) else None
    found = {}
    for score in scores:
        whole = None if score in COUNTED else _ranking(source, tally, score, ks[-1])
        for k in ks:
            ranking = _ranking(source, tally, score, k) if whole is None else whole
            found[score, str(k)] = Filters.of(ranking[:, :k], source.units)
    return Found(found, tally)


def _ranking(source: Source, tally: Tally | None, score: str, k: int) -> Tensor:
    if score == "random":
        return source.random()
    some = Tally(source.classes, source.units) if tally is None else tally
    if score == "median":
        some.check(score)
    medians = source.medians() if score == "median" else None
    return ranking_of(some, score, k, weight=source.weight, gates=source.gates, medians=medians).cpu()


def _holding(source: Source, scores: Sequence[str], fraction: float) -> Found:
    """Filters that hold a fraction of a score; of frequencies, those in the part of a sample that holds it."""
    if unfit := [score for score in scores if score not in ("frequency", "mean", "share", "gate")]:
        raise UsageError(f"score {unfit[0]} has no mass to take a fraction of; choose frequency, mean, share or gate")
    tally = source.tally([])
    tie, found = tally.tie.cpu(), {}
    for score in scores:
        if score == "gate" and source.gates is not None:
            values = source.gates.double()
        elif score == "frequency":
            tally.check("share")  # which part of a sample holds the fraction
            values = source.frequencies(source.needed(fraction))
        else:
            values = tally.score(score, 0).cpu()
        ranking = ranked(values, tie)
        found[score, f"{fraction * 100:g}%"] = Filters.ranked(holding(values, ranking, fraction), ranking)
    return Found(found, tally)


def dead(tally: Tally, layer: str) -> str:
    """A remark on units that are 0 on every sample; empty where there are none."""
    units = tally.dead.tolist()
    named = ", ".join(map(str, units[:NAMED])) + (", ..." if len(units) > NAMED else "")
    return f"{len(units)} of {len(tally.highest)} units of {layer} are 0 on every sample ({named})" if units else ""
