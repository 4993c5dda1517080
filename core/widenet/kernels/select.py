"""Keep the largest scores of a tensor: exact, with ties settled by position, and without sorting.

The bits of a non-negative float, read as an integer, order like the float. So the threshold is found by counting the
leading bits of ``|scores|`` in a histogram and looking closer only at the one bin that holds the wanted rank.

On a GPU with Triton the same selection runs in ``_select_triton``; the functions here choose by device.
"""

import functools
import importlib.util

import torch
from torch import Tensor

# Per dtype: the integer of the same width, and the bits of infinity (every larger pattern is a NaN).
FORMATS = {
    torch.float16: (torch.int16, 0x7C00),
    torch.bfloat16: (torch.int16, 0x7F80),
    torch.float32: (torch.int32, 0x7F800000),
    torch.float64: (torch.int64, 0x7FF0000000000000),
}
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_DIGIT = 16  # bits per histogram
_SMALL = 8192  # up to here kthvalue beats the histogram
_NO_BYTE_FALSE = 0x0101010101010101


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
    scores, drop = _checked(scores, keep)
    if drop in (0, scores.numel()):
        return torch.full_like(scores, drop == 0, dtype=torch.bool)
    if _on_triton(scores):
        from widenet.kernels import _select_triton

        return _select_triton.select(scores, drop)
    return _selected(scores, drop).to(torch.bool)


@torch.no_grad()
def topk_masked(
    weight: Tensor, scores: Tensor, keep: float, *, mask: Tensor | None = None, out: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Select by ``scores`` as :func:`topk_mask` does, and apply the mask to ``weight`` in the same sweep.

    A kept weight is copied bit for bit and a dropped one becomes +0.0, even where it was negative, infinite or NaN.

    Args:
        weight: a float tensor of the shape and device of ``scores``; its dtype and strides may differ.
        scores: as for :func:`topk_mask`.
        keep: as for :func:`topk_mask`.
        mask: bool buffer to write the mask into.
        out: buffer of the dtype of ``weight`` to write the masked weight into; may be ``weight`` itself.

    Returns:
        The mask and the masked weight: the given buffers, or else new tensors strided like ``scores`` and ``weight``.
        Neither carries a gradient.

    Raises:
        ValueError: ``keep`` is NaN or outside [0, 1], or shapes or devices differ.
        TypeError: ``weight`` or ``scores`` is not a float tensor, or a buffer has the wrong dtype.
    """
    scores, drop = _checked(scores, keep)
    if not weight.is_floating_point():
        raise TypeError(f"weight must be a float tensor, not {weight.dtype}")
    mask = torch.empty_like(scores, dtype=torch.bool) if mask is None else mask
    out = torch.empty_like(weight) if out is None else out
    for name, tensor, dtype in (("weight", weight, weight.dtype), ("mask", mask, torch.bool), ("out", out, weight.dtype)):
        _check_like(name, tensor, dtype, scores)

    if drop in (0, scores.numel()):
        mask.fill_(drop == 0)
        return mask, out.copy_(weight) if drop == 0 else out.zero_()
    if _on_triton(scores):
        from widenet.kernels import _select_triton

        _select_triton.select(scores, drop, mask=mask, weight=weight, out=out)
        return mask, out
    kept = _selected(scores, drop)
    mask.copy_(kept)
    bits = _INTEGERS[weight.itemsize]
    torch.bitwise_and(weight.view(bits), kept.to(bits), out=out.view(bits))
    return mask, out


def _checked(scores: Tensor, keep: float) -> tuple[Tensor, int]:
    """Return the scores in a dtype of ``FORMATS`` and the number to drop."""
    if not scores.is_floating_point():
        raise TypeError(f"scores must be a float tensor, not {scores.dtype}")
    if not 0 <= keep <= 1:
        raise ValueError(f"keep must be from 0 to 1, not {keep}")
    scores = scores.detach()
    drop = int((1 - float(keep)) * scores.numel())
    return scores if scores.dtype in FORMATS else scores.float(), drop


def _check_like(name: str, tensor: Tensor, dtype: torch.dtype, scores: Tensor) -> None:
    if tensor.dtype != dtype:
        raise TypeError(f"{name} must be {dtype}, not {tensor.dtype}")
    if tensor.shape != scores.shape or tensor.device != scores.device:
        wanted, given = (f"{tuple(t.shape)} on {t.device}" for t in (scores, tensor))
        raise ValueError(f"{name} must be {wanted} like scores, not {given}")


@functools.cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def _on_triton(scores: Tensor) -> bool:
    return scores.is_cuda and scores.numel() < 2**31 and _has_triton()


def _selected(scores: Tensor, drop: int) -> Tensor:
    """Return integers as wide as the scores: all ones where a score is kept, 0 where it is one of ``drop`` dropped."""
    integer, infinity = FORMATS[scores.dtype]
    keys = scores.view(integer) & torch.iinfo(integer).max
    flat = keys.as_strided((keys.numel(),), (1,))  # the order in memory; only ties need C order
    width = torch.iinfo(integer).bits
    value, spare = _ranked(flat, width - 1, drop)
    if value > infinity:
        flat.clamp_(max=infinity + 1)
        value, spare = infinity + 1, drop - int((flat <= infinity).sum())
    if spare == 0:
        return _at_least(keys, value)
    ordered = keys.contiguous()
    flat = ordered.flatten()
    first = _position(flat == value, spare)
    _at_least(flat[:first], value + 1)
    _at_least(flat[first:], value)
    return keys.copy_(ordered)


def _at_least(keys: Tensor, value: int) -> Tensor:
    """Replace each key by all ones if it is ``value`` or more, else by 0; a comparison would be slower."""
    limit = torch.tensor(value - 1, dtype=keys.dtype, device=keys.device)
    return torch.sub(limit, keys, out=keys).bitwise_right_shift_(torch.iinfo(keys.dtype).bits - 1)


def _ranked(keys: Tensor, bits: int, rank: int) -> tuple[int, int]:
    """Return the key of this rank (from 0, ascending) among keys of so many bits, and how many equals rank before it."""
    if keys.numel() <= _SMALL and keys.is_cpu:
        value = int(keys.kthvalue(rank + 1).values)
        return value, rank - int((keys < value).sum())
    shift = max(0, bits - _DIGIT)
    digits = keys >> shift if shift else keys
    digit, before, members = _bin_of(torch.bincount(digits), rank)
    if shift == 0:
        return digit, rank - before
    below = (digit << shift) - 1  # stands for every key under this bin
    if members * 8 < keys.numel():
        keys = _around(keys, digits, digit)
        rank += int((keys <= below).sum()) - before
    span = min(1 << shift, torch.iinfo(keys.dtype).max - below - 1) + 1
    value, spare = _ranked(keys.clamp(below, below + span).sub_(below), shift + 1, rank)
    return value + below, spare


def _bin_of(counts: Tensor, rank: int) -> tuple[int, int, int]:
    """Return the histogram bin that holds this rank, how many keys lie in the bins before it, and how many in it."""
    ends = counts.cumsum(0)
    bin_ = int(torch.searchsorted(ends, rank, right=True))
    members = int(counts[bin_])
    return bin_, int(ends[bin_]) - members, members


def _around(keys: Tensor, digits: Tensor, digit: int) -> Tensor:
    """Return all keys with this digit and a few others: those that share a group of eight with one."""
    whole = keys.numel() // 8 * 8
    outside = (digits[:whole] - digit).to(torch.bool)
    groups = (outside.view(torch.int64) != _NO_BYTE_FALSE).nonzero().squeeze(1)
    return torch.cat([keys[:whole].view(-1, 8)[groups].flatten(), keys[whole:]])


def _position(marks: Tensor, rank: int, block: int = 4096) -> int:
    """Return the index of the mark of this rank (from 0) in a flat bool tensor."""
    padding = -marks.numel() % block
    counts = torch.nn.functional.pad(marks, (0, padding)).view(-1, block).sum(1, dtype=torch.int32)
    which, before, _ = _bin_of(counts, rank)
    start = which * block
    return start + int(marks[start : start + block].nonzero()[rank - before])
