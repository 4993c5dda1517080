"""The grouping of ``classes`` in PyTorch alone: the reference for the other forms, and what runs where none of them does."""

from collections.abc import Sequence

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15
MIX = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
"""The numbers of splitmix64 (Steele, Lea and Flood 2014), from which the other forms draw a word for each position."""


def classes_torch(parts: Sequence[Tensor]) -> Tensor:
    """Group the units by a sort of all their bits, which is exact but copies them; no part is empty."""
    n = parts[0].shape[1]
    rows = torch.cat([part.movedim(1, 0).reshape(n, part.shape[0] * part.shape[2]) for part in parts], 1)
    return numbered(rows.unique(dim=0, return_inverse=True)[1])


def first_members(groups: Tensor) -> Tensor:
    """The first member of each group; ``groups`` (n,) int64 uses every number from 0 up."""
    units = torch.arange(len(groups), device=groups.device)
    firsts = torch.full_like(units[: int(groups.max()) + 1], len(groups))
    return firsts.scatter_reduce_(0, groups, units, "amin")


def numbered(groups: Tensor) -> Tensor:
    """The same groups, numbered in the order of their first members."""
    return first_members(groups).argsort().argsort()[groups]
