"""How selective the units of a layer are for classes, and how much of a sample's response few of them carry.

Sources: the class selectivity index of Morcos et al. 2018 and Leavitt and Morcos 2020; psi of Badola et al. 2023, code.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-7
"""What the original adds to the denominator of the index."""


def selectivity_index(means: Tensor) -> Tensor:
    """(largest - rest) / (largest + rest) of each unit, where rest is the mean of the other classes' means: (F,).

    Args:
        means: float (C, F), mean response of each unit to each class, at least 0; differentiable.
    """
    largest = means.amax(0)
    rest = (means.sum(0) - largest) / max(1, len(means) - 1)
    return (largest - rest) / (largest + rest + EPSILON)


def class_entropy(means: Tensor) -> Tensor:
    """Entropy in nats of each unit's mean response over the classes (F,): 0 for one class, ln C for all alike, NaN if dead."""
    shares = means / means.sum(0)
    return -torch.special.xlogy(shares, shares).sum(0)


def class_means(features: Tensor, labels: Tensor) -> Tensor:
    """Mean response of each unit to each class that is there, (classes there, F); differentiable."""
    _, classes = labels.unique(return_inverse=True)
    counts = classes.bincount()
    sums = features.new_zeros(len(counts), features.shape[1]).index_add(0, classes, features)
    return sums / counts[:, None]


def psi(counts: Tensor, units: int) -> tuple[float, float]:
    """Part of a layer's units that a class does without: 1 - median / units and 1 - mean / units of the counts (n,).

    ``counts`` are those of :func:`~widenet_decompose.tally.needed` for the samples of the class.
    """
    ordered = counts.double().sort().values
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return 1 - float(middle) / units, 1 - float(ordered.mean()) / units
