"""Keep the largest scores of a tensor, or of several together: exact, ties settled by position, and nothing sorted.

The plain PyTorch form is in ``_select_torch``, compiled loops for a CPU in ``_select_numba``, the form for a GPU with Triton in
``_select_triton``; the functions here check their arguments and choose.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from widenet.kernels._bits import FORMATS, Hint, Part
from widenet.kernels._select_torch import select_torch
from widenet.kernels.compiled import compiled as compiled  # `straight` looks it up here

COMPILED = {torch.float32, torch.bool}
"""What the compiled form for a CPU takes."""

SMALL = 1 << 14
"""Scores up to which counting them takes longer than the plain form, where there is no hint."""

__all__ = ["Hint", "kept_of", "topk_mask", "topk_masked", "topk_together"]


@torch.no_grad()
def topk_mask(scores: Tensor, keep: float) -> Tensor:
    """Mark the fraction ``keep`` of ``scores`` that is largest in magnitude.

    Exactly ``n - int((1 - keep) * n)`` of the ``n`` scores are kept. Among equal magnitudes those with the lowest flat
    index (C order of the shape) are dropped first. NaN ranks above infinity and all NaNs are equal; -0.0 equals 0.

    Source: Ramanujan et al. 2020, section 3.

    Args:
        scores: any shape, any float dtype, any memory format; never changed.
        keep: fraction to keep, from 0 to 1.

    Returns:
        A bool tensor of the shape and device of ``scores``, and of its strides where those are dense.

    Raises:
        ValueError: ``keep`` is NaN or outside [0, 1].
        TypeError: ``scores`` is not a float tensor.
    """
    _check_scores("scores", scores)
    _check_fraction("keep", keep)
    mask = torch.empty_like(scores, dtype=torch.bool)
    _select([(scores, mask)], kept_of(scores.numel(), keep))
    return mask


@torch.no_grad()
def topk_masked(
    weight: Tensor,
    scores: Tensor,
    keep: float,
    *,
    mask: Tensor | None = None,
    out: Tensor | None = None,
    hint: Hint | None = None,
) -> tuple[Tensor, Tensor]:
    """Select by ``scores`` as :func:`topk_mask` does and apply the mask to ``weight`` in the same sweep.

    A kept weight is copied bit for bit; a dropped one becomes +0.0, even if it was negative, infinite or NaN.

    Args:
        weight: float tensor of the shape and device of ``scores``; its dtype and strides may differ.
        scores: as for :func:`topk_mask`.
        keep: as for :func:`topk_mask`.
        mask: bool buffer for the mask.
        out: buffer of the dtype of ``weight`` for the masked weight, apart from it in memory.
        hint: given again with scores that have changed a little, saves time; it changes no result.

    Returns:
        The mask and the masked weight: the given buffers, or new tensors strided like ``scores`` and ``weight``.
        Neither carries a gradient.

    Raises:
        ValueError: ``keep`` is NaN or outside [0, 1], or a shape or device differs from that of ``scores``.
        TypeError: ``weight`` or ``scores`` is not a float tensor, or a buffer has the wrong dtype.
    """
    _check_scores("scores", scores)
    _check_fraction("keep", keep)
    mask = torch.empty_like(scores, dtype=torch.bool) if mask is None else mask
    out = torch.empty_like(weight) if out is None else out
    if not weight.is_floating_point():
        raise TypeError(f"weight must be a float tensor, not {weight.dtype}")
    _check_like("weight", weight, weight.dtype, scores)
    _check_like("mask", mask, torch.bool, scores)
    _check_like("out", out, weight.dtype, scores)
    _select([(scores, mask, out, weight)], kept_of(scores.numel(), keep), hint=hint)
    return mask, out


@torch.no_grad()
def topk_together(
    scores: Sequence[Tensor], keep: float, *, masks: Sequence[Tensor], floor: float = 0.0, hint: Hint | None = None
) -> None:
    """Mark the fraction ``keep`` of all scores together that is largest in magnitude; writes the masks in place.

    Selects as :func:`topk_mask` does from the flattened tensors one after the other, without joining them. So exactly
    ``n - int((1 - keep) * n)`` of the ``n`` scores of all tensors are kept, and of equals those of earlier tensors are
    dropped first.

    With a floor, each tensor keeps at least what ``topk_mask(scores[i], floor)`` marks, and at least its largest score.
    The rest of the budget goes to the largest of all other scores.

    Args:
        scores: as for :func:`topk_mask` each; shapes and strides may differ, the dtype and the device may not.
        keep: fraction of all scores to keep, from 0 to 1.
        masks: a bool tensor for the mask of each, of the shape and device of its scores and of any strides.
        floor: fraction of each tensor to keep at least, from 0 to 1; 0 sets none.
        hint: as for :func:`topk_masked`.

    Raises:
        ValueError: there are no scores or not as many masks, ``keep`` or ``floor`` is NaN or outside [0, 1], the floors
            add up to more than ``keep``, or a shape or device differs.
        TypeError: a tensor of scores is not a float tensor or not of the dtype of the first, or a mask is not bool.
    """
    if not scores or len(scores) != len(masks):
        raise ValueError(f"scores and masks must be as many, and at least one, not {len(scores)} and {len(masks)}")
    parts = list(zip(scores, masks, strict=True))
    for i, (values, mask) in enumerate(parts):
        _check_scores(f"scores[{i}]", values, scores[0])
        _check_like(f"masks[{i}]", mask, torch.bool, values, f"scores[{i}]")
    _check_fraction("keep", keep)
    _check_fraction("floor", floor)
    parts = [part for part in parts if part[0].numel()]
    sizes = [values.numel() for values, _ in parts]
    kept, floors = kept_of(sum(sizes), keep), [max(kept_of(size, floor), floor > 0) for size in sizes]
    if sum(floors) > kept:
        raise ValueError(f"a floor of {floor} keeps {sum(floors)} scores in all, which is more than keep={keep} does: {kept}")
    _select(parts, kept, floors, hint=hint)


def kept_of(n: int, fraction: float) -> int:
    """Return how many of ``n`` scores this fraction keeps, rounded as everywhere."""
    return n - int((1 - float(fraction)) * n)


def _check_fraction(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1, not {value}")


def _check_scores(name: str, scores: Tensor, first: Tensor | None = None) -> None:
    if not scores.is_floating_point():
        raise TypeError(f"{name} must be a float tensor, not {scores.dtype}")
    if first is not None and scores.dtype != first.dtype:
        raise TypeError(f"{name} must be {first.dtype} like the first scores, not {scores.dtype}")
    if first is not None and scores.device != first.device:
        raise ValueError(f"{name} must be on {first.device} like the first scores, not on {scores.device}")


def _check_like(name: str, tensor: Tensor, dtype: torch.dtype, scores: Tensor, model: str = "scores") -> None:
    if tensor.dtype != dtype:
        raise TypeError(f"{name} must be {dtype}, not {tensor.dtype}")
    if tensor.shape != scores.shape or tensor.device != scores.device:
        wanted, given = (f"{tuple(t.shape)} on {t.device}" for t in (scores, tensor))
        raise ValueError(f"{name} must be {wanted} like {model}, not {given}")


def _select(parts: Sequence[Part], keep: int, floors: Sequence[int] = (0,), hint: Hint | None = None) -> None:
    """Keep so many scores of all parts together: fill their masks and, where they have one, the masked weight.

    Of several parts, none is empty.
    """
    n = sum(scores.numel() for scores, *_ in parts)
    if keep in (0, n):
        for _, mask, *masked in parts:
            mask.fill_(keep == n)
            for out in masked[:1]:
                out.copy_(masked[1]) if keep == n else out.zero_()
        return
    if parts[0][0].dtype not in FORMATS:
        parts = [(scores.float(), *rest) for scores, *rest in parts]
    dtypes = {tensor.dtype for part in parts for tensor in part}
    if parts[0][0].is_cuda and n < 2**31 and (triton := compiled("_select_triton")) is not None:
        triton.select_triton(parts, keep, floors)
    elif parts[0][0].is_cpu and dtypes <= COMPILED and (hint or n > SMALL) and (numba := compiled("_select_numba")) is not None:
        numba.select_numba(parts, keep, floors, hint or Hint())
    else:
        select_torch(parts, keep, floors)
