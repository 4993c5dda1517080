"""Keep the largest scores of a tensor: exact, ties settled by position, and nothing sorted.

The bits of a non-negative float, read as an integer, order like the float. So the threshold is found by counting the
leading bits of ``|scores|`` in a histogram and then looking only at the members of the one bin that holds the wanted
rank. The work goes through the tensor in chunks that stay in the cache, so it needs next to no memory of its own.

On a GPU with Triton the same selection runs in ``_select_triton``; the functions here choose by device.
"""

import functools
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

# The bits of infinity; every larger pattern is a NaN.
FORMATS = {
    torch.float16: 0x7C00,
    torch.bfloat16: 0x7F80,
    torch.float32: 0x7F800000,
    torch.float64: 0x7FF0000000000000,
}
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_CHUNK = 1 << 19
_SMALL = 1 << 14  # up to here kthvalue beats the histogram
_EIGHT_TRUE = 0x0101010101010101  # eight true bools read as one integer


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
    weight: Tensor, scores: Tensor, keep: float, *, mask: Tensor | None = None, out: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Select by ``scores`` as :func:`topk_mask` does and apply the mask to ``weight`` in the same sweep.

    A kept weight is copied bit for bit; a dropped one becomes +0.0, even where it was negative, infinite or NaN.

    Args:
        weight: float tensor of the shape and device of ``scores``; its dtype and strides may differ.
        scores: as for :func:`topk_mask`.
        keep: as for :func:`topk_mask`.
        mask: bool buffer for the mask.
        out: buffer of the dtype of ``weight`` for the masked weight; may be ``weight`` itself.

    Returns:
        The mask and the masked weight: the given buffers, or new tensors strided like ``scores`` and ``weight``.
        Neither carries a gradient.

    Raises:
        ValueError: ``keep`` is NaN or outside [0, 1], or a shape or device differs from that of ``scores``.
        TypeError: ``weight`` or ``scores`` is not a float tensor, or a buffer has the wrong dtype.
    """
    drop = _dropped(scores, keep)
    if not weight.is_floating_point():
        raise TypeError(f"weight must be a float tensor, not {weight.dtype}")
    mask = torch.empty_like(scores, dtype=torch.bool) if mask is None else mask
    out = torch.empty_like(weight) if out is None else out
    _check_like("weight", weight, weight.dtype, scores)
    _check_like("mask", mask, torch.bool, scores)
    _check_like("out", out, weight.dtype, scores)
    _select(scores, drop, mask, out, weight)
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


def _select(scores: Tensor, drop: int, mask: Tensor, *masked: Tensor) -> None:
    """Drop so many scores: fill the mask and, if ``masked`` is (out, weight), the masked weight."""
    if drop in (0, scores.numel()):
        mask.fill_(drop == 0)
        if masked:
            out, weight = masked
            out.copy_(weight) if drop == 0 else out.zero_()
        return
    if scores.dtype not in FORMATS:
        scores = scores.float()
    if scores.is_cuda and scores.numel() < 2**31 and _has_triton():
        from widenet.kernels._select_triton import select_triton

        select_triton(scores, drop, mask, *masked)
    else:
        select_torch(scores, drop, mask, *masked)


@contextmanager
def in_order(scores: Tensor, mask: Tensor, *masked: Tensor) -> Iterator[list[Tensor]]:
    """Lend the tensors in one dimension, in the memory order of ``scores``; those that lie otherwise as copies."""
    tensors = (mask, *masked)
    near = [t if t.stride() == scores.stride() else torch.empty_like(scores, dtype=t.dtype).copy_(t) for t in tensors]
    yield [flat(tensor) for tensor in near]
    for tensor, copy in zip(tensors[:2], near[:2], strict=True):  # the third, the weight, is only read
        if copy is not tensor:
            tensor.copy_(copy)


def flat(tensor: Tensor) -> Tensor:
    """View a dense tensor in one dimension, in the order of its memory; floats as integers."""
    line = tensor.as_strided((tensor.numel(),), (1,))
    return line.view(_INTEGERS[tensor.itemsize]) if tensor.is_floating_point() else line


def select_torch(scores: Tensor, drop: int, mask: Tensor, *masked: Tensor) -> None:
    """Select in PyTorch, for scores of a dtype in ``FORMATS`` and 0 < ``drop`` < n."""
    infinity = FORMATS[scores.dtype]
    if torch.empty_like(scores, device="meta").stride() != scores.stride():
        scores = scores.contiguous()  # it was not dense
    bits = flat(scores)
    value, spare = _ranked(bits, drop)
    last = value  # the last key that equals ``value``
    if value > infinity:
        value, last = infinity + 1, torch.iinfo(bits.dtype).max
        spare = drop - sum(int((keys < value).sum()) for _, keys in _keys(bits))
    if spare:
        scores = scores.contiguous()  # the lowest index is meant in C order
        bits = flat(scores)
    with in_order(scores, mask, *masked) as tensors:
        tie = _tie(bits, value, infinity, spare) if spare else 0
        if tie:
            _apply(bits[:tie], last, *(tensor[:tie] for tensor in tensors))
        _apply(bits[tie:], value - 1, *(tensor[tie:] for tensor in tensors))


def _keys(bits: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield the bits without their sign, chunk by chunk with its place; each chunk overwrites the one before."""
    scratch = torch.empty_like(bits[:_CHUNK])
    for start in range(0, len(bits), _CHUNK):
        here = slice(start, start + _CHUNK)
        part = bits[here]
        yield here, torch.bitwise_and(part, torch.iinfo(bits.dtype).max, out=scratch[: len(part)])


def _ranked(bits: Tensor, rank: int) -> tuple[int, int]:
    """Return the key of this rank (from 0, ascending) and how many of its equals rank before it."""
    value = 0
    for shift in range(torch.iinfo(bits.dtype).bits - 16, -1, -16):
        if bits.numel() <= _SMALL and bits.is_cpu:
            keys = bits & torch.iinfo(bits.dtype).max
            rest = int(keys.kthvalue(rank + 1).values)
            return value + rest, rank - int((keys < rest).sum())
        digit, before = _bin_of(_histogram(bits, shift), rank)
        value, rank = value + (digit << shift), rank - before
        if shift:
            bits = _members(bits, digit, shift)
    return value, rank


def _histogram(bits: Tensor, shift: int) -> Tensor:
    """Count the keys by their digit above ``shift``."""
    total = torch.zeros(0, dtype=torch.int64, device=bits.device)
    for _, keys in _keys(bits):
        counts = torch.bincount(keys.bitwise_right_shift_(shift), minlength=total.numel())
        counts[: total.numel()] += total
        total = counts
    return total


def _bin_of(counts: Tensor, rank: int) -> tuple[int, int]:
    """Return the bin of a histogram that holds this rank and how many lie in the bins before it."""
    ends = counts.cumsum(0)
    which = int(torch.searchsorted(ends, rank, right=True))
    return which, int(ends[which] - counts[which])


def _members(bits: Tensor, digit: int, shift: int) -> Tensor:
    """Return what lies below ``shift`` of each key whose digit above it is this one."""
    found = []
    for here, keys in _keys(bits):
        part = bits[here]
        outside = keys.bitwise_right_shift_(shift).sub_(digit).to(torch.bool)
        whole = len(part) // 8 * 8  # eight at a time: members are rare, and nonzero is slow
        rows = (outside[:whole].view(torch.int64) != _EIGHT_TRUE).nonzero().squeeze(1)
        found += [part[:whole].view(-1, 8)[rows].flatten(), part[whole:]]
    near = torch.cat(found) & torch.iinfo(bits.dtype).max
    return near[(near >> shift) == digit] & ((1 << shift) - 1)


def _tie(bits: Tensor, value: int, infinity: int, rank: int) -> int:
    """Return the index of the key of this rank (from 0, by position) among those that equal ``value``."""
    for here, keys in _keys(bits):
        equal = keys.clamp_(max=infinity + 1) == value
        count = int(equal.sum())
        if rank < count:
            return here.start + int(equal.nonzero()[rank])
        rank -= count
    raise AssertionError("fewer equal keys than were counted")


def _apply(bits: Tensor, limit: int, mask: Tensor, *masked: Tensor) -> None:
    """Keep what is above ``limit``: in integers, as comparing and multiplying by bools take three times as long."""
    edge = torch.tensor(limit, dtype=bits.dtype, device=bits.device)
    sign = torch.iinfo(bits.dtype).bits - 1
    for here, keys in _keys(bits):
        kept = torch.sub(edge, keys, out=keys).bitwise_right_shift_(sign)  # all ones, or 0
        mask[here].copy_(kept)
        if masked:
            out, weight = masked
            torch.bitwise_and(weight[here], kept, out=out[here])
