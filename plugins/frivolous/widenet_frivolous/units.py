"""What orders and replacements need to know of units: means, importance, correlation; all layers in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from widenet.capture import stream
from widenet.kernels.gram import Gram
from widenet_frivolous.points import axis
from widenet_frivolous.redundancy import selectivity

ROWS = 50_000
"""Rows (samples, or places of samples) of a layer that correlations are taken of, as in the original code."""


@attrs.define(eq=False)
class Units:
    """Statistics of N units over the places of all samples; float64 tensors, sums until :func:`unit_statistics` returns."""

    mean: Tensor
    activity: Tensor
    """Mean absolute value (N,)."""
    low: Tensor
    high: Tensor
    by_class: Tensor
    """Means over the samples of each class, (C, N)."""
    samples: Tensor
    """Samples of each class, int64 (C,)."""
    gram: Gram | None
    """Of a random part of the rows, where correlations are asked for."""

    @classmethod
    def none_yet(cls, units: int, classes: int, correlations: bool) -> Units:
        """Of so many units nothing."""
        zeros = torch.zeros(units, dtype=torch.float64)
        by_class, samples = torch.zeros(classes, units, dtype=torch.float64), torch.zeros(classes, dtype=torch.int64)
        gram = Gram(units) if correlations else None
        return cls(zeros, zeros.clone(), zeros + torch.inf, zeros - torch.inf, by_class, samples, gram)

    def add(self, places: Tensor, labels: Tensor, generator: torch.Generator, rows: int) -> None:
        """Take in a batch (n, places, N) of these labels (n,), of which at most ``rows`` random rows enter the Gram."""
        of_samples = places.double().mean(1)
        self.mean += of_samples.sum(0)
        self.activity += places.abs().double().mean(1).sum(0)
        self.low = torch.minimum(self.low, places.amin((0, 1)).double())
        self.high = torch.maximum(self.high, places.amax((0, 1)).double())
        self.by_class.index_add_(0, labels, of_samples)
        self.samples += labels.bincount(minlength=len(self.samples))
        if self.gram is not None:
            flat = places.flatten(0, 1)
            self.gram.update(flat[torch.randperm(len(flat), generator=generator)[:rows]] if len(flat) > rows else flat)

    @property
    def dead(self) -> Tensor:
        """Which units are constant over all samples, bool (N,)."""
        return self.low == self.high

    def selectivity(self) -> Tensor:
        """Class selectivity of each unit, (N,); NaN of one that is 0 throughout."""
        return selectivity(self.by_class, self.samples)

    def correlation(self, unit: int) -> Tensor:
        """Pearson correlation of a unit with each, (N,); NaN where one of both is constant.

        Raises:
            ValueError: correlations were not asked for.
        """
        if self.gram is None:
            raise ValueError("correlations were not asked for")
        scatter = self.gram.scatter
        deviation = scatter.diagonal().sqrt()
        return scatter[unit] / (deviation * deviation[unit])


def unit_statistics(
    net: nn.Module,
    split: Any,
    layers: Sequence[str],
    classes: int,
    generator: torch.Generator,
    correlations: bool = False,
    batch_size: int = 128,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Units]:
    """The statistics of each layer's units, by its name, from one pass over ``split``.

    Raises:
        UsageError: a layer puts out nothing.
    """
    found: dict[str, Units] = {}
    rows = max(2, ROWS // -(-len(split) // batch_size))
    seen = 0
    for batch in stream(net, split, layers, "none", batch_size):
        for name, value in batch.layers.items():
            along = axis(net, value)
            places = value.movedim(along, -1).reshape(len(value), -1, value.shape[along])
            if name not in found:
                found[name] = Units.none_yet(value.shape[along], classes, correlations)
            found[name].add(places, batch.labels, generator, rows)
        seen += len(batch.labels)
        if progress is not None:
            progress(seen, len(split))
    for units in found.values():
        units.mean, units.activity = units.mean / seen, units.activity / seen
        units.by_class = units.by_class / units.samples[:, None]
    return found
