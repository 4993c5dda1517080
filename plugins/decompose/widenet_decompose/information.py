"""What the sets of different classes have to do with one another: mutual information and overlap.

Mutual information does not tell overlap from avoidance, both raise it, and of the published average over all pairs of classes
most is that of each class with itself; so overlap, and the pairs of different classes, stand beside it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ABSENT = 1e-7
"""What the original adds to every entry of a histogram in which one is 0."""


def index_information(indices: Any, units: int) -> dict[str, float]:
    """Mutual information, in nats, of the sets of two classes as 0/1 vectors over the units, averaged over ordered pairs.

    Source: Badola et al. 2023, code (``mutual_info.py``), whose published value is ``all_pairs``.

    Args:
        indices: the units of each class: int (C, k), lists of any lengths, or a mask bool (C, F).
        units: F.

    Returns:
        ``all_pairs``, those of a class with itself included; ``off_diagonal``, without these (0 for a single class); ``self``,
        these alone.

    Raises:
        ValueError: a unit that is not there, or one that a class names twice.
    """
    found = pairwise_information(_mask(indices, units))
    classes, own = len(found), found.diagonal()
    others = (found.sum() - own.sum()) / max(1, classes * (classes - 1))
    return {"all_pairs": float(found.mean()), "off_diagonal": float(others), "self": float(own.mean())}


def pairwise_information(mask: Tensor) -> Tensor:
    """Mutual information in nats of each two rows of a mask bool (C, F): float64 (C, C)."""
    present = mask.double()
    sizes, units = present.sum(1), mask.shape[1]
    both = present @ present.T
    joint = [both, sizes[:, None] - both, sizes - both, units - sizes[:, None] - sizes + both]
    rows = [sizes, sizes, units - sizes, units - sizes]
    columns = [sizes, units - sizes, sizes, units - sizes]
    parts = [
        torch.special.xlogy(cell / units, cell * units / (row[:, None] * column).clamp(min=1))
        for cell, row, column in zip(joint, rows, columns, strict=True)
    ]
    return torch.stack(parts).sum(0)


def jaccard(mask: Tensor) -> Tensor:
    """Units in both of two classes' sets over those in either, float64 (C, C); of two empty sets 0."""
    present = mask.double()
    both = present @ present.T
    either = present.sum(1)[:, None] + present.sum(1) - both
    return both / either.clamp(min=1)


def overlap(mask: Tensor) -> dict[str, float]:
    """Of a mask bool (C, F): units that any class has, classes that share the most shared one, mean Jaccard index of two."""
    classes, index = len(mask), jaccard(mask)
    pairs = (index.sum() - index.diagonal().sum()) / max(1, classes * (classes - 1))
    shared = mask.sum(0)
    return {"distinct": int((shared > 0).sum()), "most_shared": int(shared.max()), "jaccard": float(pairs)}


def histogram_information(p: Tensor, q: Tensor, support: bool = False) -> Tensor:
    """H(p) + H(q) - H(both) in nats of histograms, where ``both`` is their mean or, of 0/1 supports, their union.

    Source: the original's second code (``prob`` and ``select``). It is no mutual information; it is here to compare with.

    Args:
        p: float (..., F).
        q: float (..., F), which broadcasts with p.
        support: whether both are of zeros and ones.

    Returns:
        float64 (...).
    """
    both = ((p > 0) | (q > 0)).double() if support else (p + q) / 2
    return _entropy(p) + _entropy(q) - _entropy(both)


def mean_histogram_information(counts: Tensor) -> dict[str, float]:
    """Averages over pairs of different classes of counts (C, F): ``histogram``, and ``support``, of what is above 0 alone."""
    histograms, classes = counts.double() / counts.sum(1, keepdim=True), len(counts)
    pairs = max(1, classes * (classes - 1))
    # It is symmetric; and class by class, because of a thousand all pairs at once would be gigabytes.
    halves = [histogram_information(histograms[number], histograms[number + 1 :]).sum() for number in range(classes)]
    return {"histogram": 2 * float(sum(halves)) / pairs, "support": float(_support_information(counts > 0).sum()) / pairs}


def _support_information(mask: Tensor) -> Tensor:
    """:func:`histogram_information` of the supports of each two classes, bool (C, F): (C, C), 0 of a class with itself.

    The entropy of a support depends on its size alone.
    """
    units, sizes = mask.shape[1], mask.sum(1)
    of_size = _entropy(torch.ones(units + 1, units, dtype=torch.float64).tril(-1))
    both = mask.double() @ mask.double().T
    either = (sizes[:, None] + sizes - both).long()
    return (of_size[sizes][:, None] + of_size[sizes] - of_size[either]).fill_diagonal_(0)


def _entropy(histogram: Tensor) -> Tensor:
    filled = histogram.double() + ABSENT * (histogram == 0).any(-1, keepdim=True)
    shares = filled / filled.sum(-1, keepdim=True)
    return -torch.special.xlogy(shares, shares).sum(-1)


def _mask(indices: Any, units: int) -> Tensor:
    from widenet_decompose.filters import Filters

    if isinstance(indices, Tensor) and indices.dtype == torch.bool:
        return indices
    return Filters.checked(units, [torch.as_tensor(members).tolist() for members in indices]).mask
