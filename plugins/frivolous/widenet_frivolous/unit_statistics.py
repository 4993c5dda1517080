"""What orders and replacements need to know of units: means, importance, correlation; all layers in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from widenet.kernels.gram import Gram
from widenet_frivolous.ablation import Evaluating
from widenet_frivolous.points import Change, Point, axis, changed

ROWS = 50_000
"""Rows (samples, or places of samples) of a layer that correlations are taken of, as in the original code."""


@attrs.define(eq=False)
class Units:
    """Statistics of N units over the places of all samples; float64 tensors, sums until :func:`collected` returns.

    ``by_class`` (C, N) are means over the samples of each class, ``gram`` is of a random part of the rows, or None.
    """

    mean: Tensor
    activity: Tensor
    """Mean absolute value (N,)."""
    low: Tensor
    high: Tensor
    by_class: Tensor
    gram: Gram | None

    @property
    def dead(self) -> Tensor:
        """Which units are constant over all samples, bool (N,)."""
        return self.low == self.high

    def selectivity(self) -> Tensor:
        """Class selectivity of each unit, (N,): (a - b) / (a + b), a the largest class mean and b that of the other classes.

        Classes count alike, and a unit that is 0 throughout has 0. (The original's b is a mean over samples.)
        """
        present = self.by_class[~self.by_class.isnan().any(1)]
        best = present.amax(0)
        rest = (present.sum(0) - best) / max(1, len(present) - 1)
        total = best + rest
        return torch.where(total.abs() > 0, (best - rest) / total, 0.0)

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


@torch.no_grad()
def collected(
    net: nn.Module,
    split: Any,
    points: Sequence[Point],
    classes: int,
    generator: torch.Generator,
    correlations: bool = False,
    batch_size: int = 128,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Units]:
    """The statistics of the units at each point, by its name, from one pass over ``split``.

    Of a module that is called more than once, the first call counts.
    """
    found: dict[str, Units] = {}
    batches = -(-len(split) // batch_size)
    counted = torch.zeros(classes, dtype=torch.float64)
    labels = torch.empty(0)
    heard: set[str] = set()

    def look(name: str) -> Change:
        def change(value: Tensor) -> None:
            if name not in heard:
                heard.add(name)
                places = value.movedim(axis(net, value), -1).reshape(len(value), -1, value.shape[axis(net, value)])
                if name not in found:
                    found[name] = _none(places, classes, correlations)
                _add(found[name], places, labels, generator, max(2, ROWS // batches))

        return change

    gone = 0
    with Evaluating(net, True), changed(net, [(point, look(point.name)) for point in points]):
        for x, labels in split.batches(batch_size):  # the hooks read the labels
            heard.clear()
            net(x)
            counted += labels.cpu().bincount(minlength=classes)
            gone += len(labels)
            if progress is not None:
                progress(gone, len(split))
    for units in found.values():
        units.mean, units.activity = units.mean / gone, units.activity / gone
        units.by_class = units.by_class / counted[:, None].to(units.by_class)
    return found


def _none(places: Tensor, classes: int, correlations: bool) -> Units:
    """Nothing yet, of the units of ``places`` (n, places, N)."""
    count, device = places.shape[2], places.device
    zeros = torch.zeros(count, dtype=torch.float64, device=device)
    by_class = torch.zeros(classes, count, dtype=torch.float64, device=device)
    gram = Gram(count, device) if correlations else None
    return Units(zeros, zeros.clone(), zeros + torch.inf, zeros - torch.inf, by_class, gram)


def _add(units: Units, places: Tensor, labels: Tensor, generator: torch.Generator, rows: int) -> None:
    of_samples = places.double().mean(1)
    units.mean += of_samples.sum(0)
    units.activity += places.abs().double().mean(1).sum(0)
    units.low = torch.minimum(units.low, places.amin((0, 1)).double())
    units.high = torch.maximum(units.high, places.amax((0, 1)).double())
    units.by_class.index_add_(0, labels, of_samples)
    if units.gram is not None:
        flat = places.flatten(0, 1)
        if len(flat) > rows:
            flat = flat[torch.randperm(len(flat), generator=generator)[:rows].to(flat.device)]
        units.gram.update(flat)
