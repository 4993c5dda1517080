"""Sums over a layer's outputs, by class, of which every score of its units is made."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

SHARES = ("share", "median", "mass")
"""Scores of a unit's part of an image's summed response, which means something where no response is negative."""
COUNTED = ("frequency", "mass", "contribution-frequency")
"""Scores of an image's k largest: with another k they are others."""


class Tally:
    """Sums over samples, by class, of which the scores are made; it holds none of the samples.

    Args:
        classes: C.
        units: F.
        ks: sizes k for which an image's k largest units are counted.
        scores: those of :data:`COUNTED` that are counted for these sizes.
        weight: float (C, F) of the read-out, for the scores that need it.
        device: where the sums lie.
    """

    def __init__(
        self,
        classes: int,
        units: int,
        ks: Iterable[int] = (),
        scores: Collection[str] = COUNTED[:1],
        weight: Tensor | None = None,
        device: Any = "cpu",
    ) -> None:
        self.ks = tuple(sorted(set(ks)))
        self.size = torch.zeros(classes, dtype=torch.int64, device=device)
        self.lowest = torch.zeros((), device=device)
        """The lowest response, or 0."""
        self.highest = torch.zeros(units, device=device)
        """The highest response of each unit, or 0."""
        self._sums, self._shares = torch.zeros(2, classes, units, dtype=torch.float64, device=device)
        shape = (len(self.ks), classes, units)
        # Of each k what it has beyond the k before: one entry a rank of a sample.
        types = {"frequency": torch.int32, "mass": torch.float64, "contribution-frequency": torch.int32}
        self._counted = {score: torch.zeros(shape, dtype=types[score], device=device) for score in COUNTED if score in scores}
        self._weight = None if weight is None else weight.to(device)
        most = self.ks[-1] if self.ks else 0
        self._segment = torch.bucketize(torch.arange(1, most + 1, device=device), torch.tensor(self.ks, device=device))

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Take in n samples: features float (n, F), labels int64 (n,)."""
        features, labels = features.to(self._sums.device), labels.to(self._sums.device)
        if not len(labels):
            return
        self.size += labels.bincount(minlength=len(self.size))
        self.lowest = torch.minimum(self.lowest, features.min())
        self.highest = torch.maximum(self.highest, features.amax(0))
        share = shares(features)
        self._sums.index_add_(0, labels, features.double())
        self._shares.index_add_(0, labels, share)
        if not self.ks:
            return
        if self._counted.keys() & {"frequency", "mass"}:
            places, order = self._places(features, labels)
            self._count("frequency", places)
            self._count("mass", places, share.gather(1, order).flatten())
        if "contribution-frequency" in self._counted and self._weight is not None:
            self._count("contribution-frequency", self._places(features * self._weight[labels], labels)[0])

    def _count(self, score: str, places: Tensor, values: Tensor | None = None) -> None:
        if (counted := self._counted.get(score)) is not None:
            added = torch.ones_like(places, dtype=counted.dtype) if values is None else values
            counted.view(-1).scatter_add_(0, places, added)

    def _places(self, values: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Where in (K, C, F), flattened, each of a sample's largest units counts; and these units (n, k), largest first."""
        # A stable sort: of equal responses the first unit counts, on every machine.
        order = values.argsort(dim=1, descending=True, stable=True)[:, : len(self._segment)]
        classes, units = self._sums.shape
        return ((self._segment * classes + labels[:, None]) * units + order).flatten(), order

    @property
    def means(self) -> Tensor:
        """Mean response of each unit to each class, float64 (C, F)."""
        return self._sums / self.size[:, None]

    @property
    def mean_shares(self) -> Tensor:
        """Mean part of an image's summed response, float64 (C, F)."""
        return self._shares / self.size[:, None]

    @property
    def tie(self) -> Tensor:
        """What decides between equal scores, float64 (C, F): mean shares, or mean responses where some are negative."""
        return self.mean_shares if self.lowest >= 0 else self.means

    def check(self, name: str) -> None:
        """Refuse a score of data that these samples do not give.

        Raises:
            ValueError: a class has no sample, or shares of negative responses are asked for.
        """
        if len(empty := (self.size == 0).nonzero()):
            raise ValueError(f"class {int(empty[0])} has no sample, so nothing can be said of its units; take more samples")
        if name in SHARES and self.lowest < 0:
            raise ValueError(f"the layer has negative responses, of which {name} means nothing; take one that ends in a ReLU")

    def score(self, name: str, k: int) -> Tensor:
        """Score float64 (C, F) of every unit for every class, larger for more influential ones; ``k`` is one of ``ks``.

        Raises:
            ValueError: as :meth:`check`.
        """
        self.check(name)
        if name in COUNTED:
            return self._counted[name][: self.ks.index(k) + 1].sum(0).double()
        if name in ("contribution", "contrast"):
            assert self._weight is not None
            overall = self._sums.sum(0) / self.size.sum() if name == "contrast" else 0.0
            return self._weight.double() * (self.means - overall)
        return {"mean": self.means, "share": self.mean_shares}[name]

    @property
    def dead(self) -> Tensor:
        """Units that are 0 on every sample, int64."""
        return ((self.highest <= 0) & (self._sums.sum(0) == 0)).nonzero().flatten()


def frequencies(batches: Iterable[tuple[Tensor, Tensor]], sizes: Sequence[int], units: int) -> Tensor:
    """Samples of each class that have a unit among their largest, as many as ``sizes`` (C,) says: float64 (C, F)."""
    most = torch.tensor(sizes)
    counts = torch.zeros(len(sizes) * units, dtype=torch.int64)
    for features, labels in batches:
        order = features.argsort(dim=1, descending=True, stable=True)[:, : max(sizes)]
        kept = torch.arange(order.shape[1]) < most[labels][:, None]
        counts += (labels[:, None] * units + order)[kept].bincount(minlength=len(counts))
    return counts.view(len(sizes), units).double()


def summed(features: Tensor) -> Tensor:
    """Each sample's summed response, float64 (n,), negative ones counted as 0; 1 where there is none."""
    total = features.clamp(min=0).sum(1, dtype=torch.float64)
    return total.where(total > 0, 1.0)


def shares(features: Tensor) -> Tensor:
    """Each response's part of the sum over its sample, float64 (n, F); negative ones and samples without any count as 0."""
    return features.clamp(min=0).double() / summed(features)[:, None]


def needed(features: Tensor, fraction: float) -> Tensor:
    """How many of a sample's largest responses together stay below this fraction of their sum, int64 (n,): the original's m."""
    return (shares(features).sort(dim=1, descending=True).values.cumsum(1) < fraction).sum(1)


def median_shares(columns: Iterable[Tensor], total: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Median of each unit's share over the samples of each class, float64 (C, F).

    Args:
        columns: the features (N, F) in blocks of columns, so that not all need be in memory.
        total: :func:`summed` of all of them (N,).
        labels: int64 (N,).
        classes: C.
    """
    members = [(labels == label).nonzero().flatten().numpy() for label in range(classes)]
    blocks = []
    for block in columns:
        share = (block.clamp(min=0).double() / total[:, None]).numpy()
        # numpy's median is the mean of the middle two, torch's the lower one.
        blocks.append(np.stack([np.median(share[rows], axis=0) for rows in members]))
    return torch.from_numpy(np.concatenate(blocks, axis=1))
