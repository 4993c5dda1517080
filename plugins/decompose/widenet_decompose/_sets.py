"""Sets of units of a layer, one a class, in the one form that everything else computes with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

PADDING = -1
"""What fills the row of a class with fewer units than the largest set."""

Indices = Tensor | np.ndarray[Any, Any] | Sequence[Sequence[int]]


def padded_sets(indices: Indices, classes: int, features: int) -> Tensor:
    """Check sets of units and bring them into one form.

    Args:
        indices: integers (C, k), or a bool mask (C, F) whose rows may keep different numbers of units, even none.
        classes: C.
        features: F.

    Returns:
        int64 (C, k_max) on the CPU, in the order given (a mask's ascending), padded at the right with PADDING.

    Raises:
        ValueError: the shape does not fit, an index is out of range or twice in a row, or there is no index at all.
    """
    try:
        given = torch.as_tensor(indices).detach().cpu()
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"indices must be integers (C, k) or, for sets of different sizes, a bool mask (C, F): {error}"
        ) from error
    if given.ndim != 2 or given.is_floating_point() or given.is_complex():
        raise ValueError(f"indices must be integers (C, k) or a bool mask (C, F), not {given.dtype} {tuple(given.shape)}")
    if len(given) != classes:
        raise ValueError(f"the layer has {classes} classes but there are {len(given)} sets; give one a class")
    return _of_mask(given, features) if given.dtype == torch.bool else _of_indices(given.long(), features)


def _of_mask(mask: Tensor, features: int) -> Tensor:
    if mask.shape[1] != features:
        raise ValueError(f"the mask has {mask.shape[1]} columns but the layer {features} features; give one a feature")
    sizes = mask.sum(1)
    if not sizes.any():
        raise ValueError("the mask keeps nothing; keep at least one unit")
    columns = mask.int().argsort(dim=1, descending=True, stable=True)[:, : int(sizes.max())]
    return columns.masked_fill(torch.arange(columns.shape[1]) >= sizes[:, None], PADDING)


def _of_indices(indices: Tensor, features: int) -> Tensor:
    k = indices.shape[1]
    if not 0 < k <= features:
        raise ValueError(f"sets must have 1 .. {features} units, not {k}; a class without any needs a bool mask")
    if indices.min() < 0 or indices.max() >= features:
        raise ValueError(f"indices must lie in 0 .. {features - 1}, not {int(indices.min())} .. {int(indices.max())}")
    if (twice := repeats(indices)) is not None:
        raise ValueError(f"the set of class {twice} has an index twice; give each once")
    return indices.clone()


def repeats(rows: Tensor) -> int | None:
    """The first row of integers (C, k) in which one is there twice."""
    ordered = rows.sort(dim=1).values
    found = (ordered[:, 1:] == ordered[:, :-1]).any(dim=1)
    return int(found.nonzero()[0]) if found.any() else None
