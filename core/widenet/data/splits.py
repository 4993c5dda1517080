"""What a data set is: named splits over one input shape."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol, Self

import attrs
import torch
from torch import Tensor

from widenet.errors import UsageError

Cut = tuple[int, int]
"""Which part of every batch, from 0, and of how many."""
PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
"""Processors this process may use: more workers would only slow each other down."""


def cuts(count: int, size: int, part: Cut) -> Iterator[slice]:
    """Where a part of each batch of ``size`` lies in a pass over ``count`` samples; the first parts may have one more."""
    number, parts = part
    for start in range(0, count, size):
        whole = min(size, count - start)
        yield slice(start - (-whole * number // parts), start - (-whole * (number + 1) // parts))


class Split(Protocol):
    """What training and analyses may ask of a split."""

    def __len__(self) -> int: ...

    def to(self, device: torch.device | str, workers: int | None = None) -> Self:
        """Return the split with its batches on ``device``; ``workers`` processes read it if it lies on disk."""

    def labels(self) -> Tensor:
        """Return the class of every sample, int64 (N,) on the CPU."""

    def part(self, chosen: Tensor) -> Self:
        """Return the split that has only the samples with these indices, int64 on the CPU."""

    def batches(
        self, size: int, generator: torch.Generator | None = None, part: Cut = (0, 1)
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(inputs, labels)`` for one pass over the split, the last partial batch included.

        Inputs are float32 ``(n, *shape)``, normalised, images in ``channels_last`` memory; labels are int64 ``(n,)``.
        With a generator the order is shuffled and the split's augmentation applied, both drawn from it alone and on its
        device, so that results do not depend on where the data lie; without one, samples come plain and in order.
        With ``part=(k, n)`` only the k-th (from 0) of n parts of each batch is read, as it is in the whole; where a batch has
        fewer than n samples, some of its parts are empty.
        """


@attrs.frozen(eq=False)
class Data:
    """A data set: its splits, the ``shape`` of one input (channels first for images) and its number of classes."""

    name: str
    train: Split
    test: Split
    shape: tuple[int, ...]
    classes: int
    val: Split | None = None
    class_names: tuple[str, ...] = ()

    def to(self, device: torch.device | str, workers: int | None = None) -> Data:
        """Return the data set with all of its splits on ``device``; ``workers`` processes read those that lie on disk."""
        val = None if self.val is None else self.val.to(device, workers)
        return attrs.evolve(self, train=self.train.to(device, workers), test=self.test.to(device, workers), val=val)

    def hold_out(self, fraction: float, generator: torch.Generator) -> Data:
        """Return the data set with this fraction of each class's training samples, at least one, as ``val`` instead.

        Raises:
            UsageError: it has a validation split of its own, a class with too few samples, or splits of a plugin's own
                that cannot be parted.
        """
        if self.val is not None:
            raise UsageError(f"{self.name} has a validation split of its own; leave --val out")
        self._check_parted("--val")
        labels = self.train.labels()
        held = torch.zeros(len(labels), dtype=torch.bool)
        for label, members in by_class(labels, generator):
            count = max(1, round(fraction * len(members)))
            if count == len(members):
                raise UsageError(f"--val {fraction} leaves class {label} of {self.name} without training samples")
            held[members[:count]] = True
        parts = [self.train.part(chosen.nonzero().flatten()) for chosen in (~held, held)]
        return attrs.evolve(self, train=parts[0], val=parts[1])

    def subset(self, per_class: int, generator: torch.Generator) -> Data:
        """Return the data set with so many training samples of each class, drawn without replacement.

        Raises:
            UsageError: a class has fewer, or the splits are a plugin's own that cannot be parted.
        """
        self._check_parted("--per-class")
        try:
            chosen = balanced(self.train.labels(), per_class, generator)
        except ValueError as error:
            raise UsageError(f"--per-class {per_class}: {error} among the training samples of {self.name}") from None
        return attrs.evolve(self, train=self.train.part(chosen))

    def _check_parted(self, option: str) -> None:
        if not (hasattr(self.train, "labels") and hasattr(self.train, "part")):
            raise UsageError(f"{self.name} has splits that cannot be parted, without labels or part; leave {option} out")


def by_class(labels: Tensor, generator: torch.Generator) -> Iterator[tuple[int, Tensor]]:
    """Each class among ``labels`` (N,) with the indices of its samples, int64, in random order."""
    rank = torch.empty(len(labels), dtype=torch.int64)
    rank[torch.randperm(len(labels), generator=generator)] = torch.arange(len(labels))
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        yield int(label), members[rank[members].argsort()]


def balanced(labels: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Indices, ascending, of ``count`` samples of each class among ``labels`` (N,), drawn without replacement.

    Raises:
        ValueError: a class has fewer.
    """
    chosen = []
    for label, members in by_class(labels, generator):
        if len(members) < count:
            raise ValueError(f"class {label} has only {len(members)} samples")
        chosen.append(members[:count])
    return torch.cat(chosen).sort().values
