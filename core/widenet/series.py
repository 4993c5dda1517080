"""Metrics of runs as figures draw them: points over epochs, averaged over runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import attrs

from widenet.runs import Run

if TYPE_CHECKING:
    import numpy as np

PLACES = ("epoch", "step")
"""Metrics that say where a line stands."""


@attrs.frozen
class Point:
    """A line of metrics: its training loop (from 0), its number in it, and how long it took."""

    loop: int
    epoch: float
    seconds: float
    values: Mapping[str, Any]

    @property
    def key(self) -> tuple[int, float]:
        """What points of other runs stand at the same place."""
        return self.loop, self.epoch


Trace = Sequence[Point]
"""The points of a run."""


@attrs.frozen(eq=False)
class Curve:
    """Means over runs with their deviations (n - 1; 0 of one run), each float (N,), and where training loops begin."""

    x: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    edges: Sequence[float]


def points(run: Run) -> Iterator[Point]:
    """The run's epochs in order. Each loop of a method counts its own, so that a number that does not rise begins a new one."""
    loop, last = 0, -math.inf
    for line in run.metrics():
        epoch: Any = line.get("epoch")
        if is_number(epoch):
            loop += epoch <= last
            last = epoch
            yield Point(loop, epoch, line.get("seconds") or 0.0, line)


def metric_names(traces: Sequence[Trace]) -> list[str]:
    """Every metric that is a number in some epoch, in order of first appearance."""
    lines = [point.values for trace in traces for point in trace]
    names = dict.fromkeys(name for line in lines for name, value in line.items() if is_number(value))
    return [name for name in names if name not in PLACES]


def averaged(traces: Sequence[Trace], metric: str, x: str) -> Curve:
    """A metric over ``x``, ``epoch`` or ``seconds``, the mean over runs.

    That of an epoch is over the runs that have got there. It is NaN where a value was not finite, and so is a point that stands
    between two loops.
    """
    import numpy as np

    found: dict[tuple[int, float], list[float]] = {}
    for point in [point for trace in traces for point in trace if metric in point.values]:
        value = point.values[metric]
        found.setdefault(point.key, []).append(value if is_number(value) else np.nan)
    places, edges = _places(traces, x)
    rows: list[tuple[float, float, float]] = []
    for before, key in pairwise([None, *sorted(found)]):
        if before is not None and key is not None and before[0] < key[0]:
            rows.append((places[before], np.nan, np.nan))
        if key is not None:
            rows.append((places[key], *mean_and_deviation(found[key])))
    at, means, deviations = np.array(rows, dtype=float).reshape(-1, 3).T
    return Curve(at, means, deviations, edges)


def _places(traces: Sequence[Trace], x: str) -> tuple[dict[tuple[int, float], float], list[float]]:
    """Where each epoch stands, and where each loop but the first begins: at the end of the longest before it.

    Seconds are summed over the means of the epochs, so that a run that ends early does not turn the curve back.
    """
    import numpy as np

    spent: dict[tuple[int, float], list[float]] = {}
    for point in [point for trace in traces for point in trace]:
        spent.setdefault(point.key, []).append(point.seconds)
    places: dict[tuple[int, float], float] = {}
    edges: list[float] = []
    loop, start, passed = 0, 0.0, 0.0
    for key in sorted(spent):
        if key[0] != loop:
            start = max(places.values(), default=0.0)
            edges.append(start)
        loop, passed = key[0], passed + float(np.mean(spent[key]))
        places[key] = passed if x == "seconds" else start + key[1]
    return places, edges


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and standard deviation of the sample (n - 1); of a single value 0."""
    import numpy as np

    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def is_number(value: Any) -> bool:
    """Whether it is a number, and not true or false."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
