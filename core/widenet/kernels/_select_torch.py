"""The selection of ``select`` in PyTorch alone: the reference for the other forms, and what runs where none of them does."""

from collections.abc import Sequence

import torch
from torch import Tensor

from widenet.kernels._bits import FORMATS, INTEGERS, Part, flat


def select_torch(parts: Sequence[Part], keep: int, floors: Sequence[int]) -> None:
    """Keep so many scores of all parts together, and at least its floor of each.

    The scores are of one dtype in ``FORMATS``, no part is empty, 0 < ``keep`` and ``sum(floors)`` <= ``keep``. What a floor
    keeps ranks above all else.
    """
    keys = []
    for (scores, *_), floor in zip(parts, floors, strict=True):
        bits = flat(scores.contiguous())
        most = torch.iinfo(bits.dtype).max
        keys.append((bits & most).clamp_(max=FORMATS[scores.dtype] + 1))
        if floor:
            keys[-1].masked_fill_(_largest(keys[-1], floor), most)
    if len(keys) == 1:
        marks: Sequence[Tensor] = [_largest(keys[0], keep)]
    else:
        marks = _largest(torch.cat(keys), keep).split([len(part) for part in keys])
    for (_, mask, *masked), kept in zip(parts, marks, strict=True):
        mask.copy_(kept.view(mask.shape))
        if masked:
            out, weight = masked
            integer = INTEGERS[weight.itemsize]
            ones = kept.view(torch.int8).neg().view(mask.shape)  # all ones, or 0
            torch.bitwise_and(weight.view(integer), ones, out=out.view(integer))


def _largest(keys: Tensor, keep: int) -> Tensor:
    """Mark so many of the largest keys, of equals the last."""
    value = keys.kthvalue(len(keys) - keep + 1).values
    kept = keys >= value
    surplus = int(kept.count_nonzero()) - keep
    if surplus:
        kept[(keys == value).nonzero()[:surplus]] = False
    return kept
