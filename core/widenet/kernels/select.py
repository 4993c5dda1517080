"""Keep the largest scores of a tensor: exact, ties settled by position, and nothing sorted.

The plain PyTorch form is in ``_select_torch``, the form for a GPU with Triton in ``_select_triton``; the functions here
check their arguments and choose by device.
"""

import functools
import importlib.util

import torch
from torch import Tensor

from widenet.kernels._select_torch import FORMATS, Hint, select_torch

__all__ = ["Hint", "topk_mask", "topk_masked"]


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
    drop = _dropped(scores, keep)
    mask = torch.empty_like(scores, dtype=torch.bool)
    _select(scores, drop, mask)
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
    drop = _dropped(scores, keep)
    mask = torch.empty_like(scores, dtype=torch.bool) if mask is None else mask
    out = torch.empty_like(weight) if out is None else out
    if not weight.is_floating_point():
        raise TypeError(f"weight must be a float tensor, not {weight.dtype}")
    _check_like("weight", weight, weight.dtype, scores)
    _check_like("mask", mask, torch.bool, scores)
    _check_like("out", out, weight.dtype, scores)
    _select(scores, drop, mask, out, weight, hint=hint)
    return mask, out


def _dropped(scores: Tensor, keep: float) -> int:
    """Return how many scores to drop, after checking the arguments."""
    if not scores.is_floating_point():
        raise TypeError(f"scores must be a float tensor, not {scores.dtype}")
    if not 0 <= keep <= 1:
        raise ValueError(f"keep must be from 0 to 1, not {keep}")
    return int((1 - float(keep)) * scores.numel())


def _check_like(name: str, tensor: Tensor, dtype: torch.dtype, scores: Tensor) -> None:
    if tensor.dtype != dtype:
        raise TypeError(f"{name} must be {dtype}, not {tensor.dtype}")
    if tensor.shape != scores.shape or tensor.device != scores.device:
        wanted, given = (f"{tuple(t.shape)} on {t.device}" for t in (scores, tensor))
        raise ValueError(f"{name} must be {wanted} like scores, not {given}")


@functools.cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def _select(scores: Tensor, drop: int, mask: Tensor, *masked: Tensor, hint: Hint | None = None) -> None:
    """Drop so many scores: fill the mask and, if ``masked`` is (out, weight), the masked weight."""
    if drop in (0, scores.numel()):
        mask.fill_(drop == 0)
        for out in masked[:1]:
            out.copy_(masked[1]) if drop == 0 else out.zero_()
        return
    if scores.dtype not in FORMATS:
        scores = scores.float()
    if scores.is_cuda and scores.numel() < 2**31 and _has_triton():
        from widenet.kernels._select_triton import select_triton

        select_triton(scores, drop, mask, *masked)
    else:
        select_torch(scores, drop, mask, *masked, hint=hint)
