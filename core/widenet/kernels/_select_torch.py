"""The selection of ``select`` in PyTorch alone: what runs on a CPU, and the reference for the Triton form.

The bits of a non-negative float, read as an integer, order like the float. So the threshold is found by counting the
leading bits of ``|scores|`` in a histogram and then looking only at the members of the one bin that holds the wanted
rank. The work goes through the tensor in chunks that stay in the cache, so it needs next to no memory of its own.
"""

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
INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_CHUNK = 1 << 19  # elements
_SMALL = 1 << 14  # up to here kthvalue beats the histogram
_EIGHT_TRUE = 0x0101010101010101  # eight true bools read as one integer


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
    return line.view(INTEGERS[tensor.itemsize]) if tensor.is_floating_point() else line


def select_torch(scores: Tensor, drop: int, mask: Tensor, *masked: Tensor) -> None:
    """Select in PyTorch, for scores of a dtype in ``FORMATS`` and 0 < ``drop`` < n."""
    if scores.numel() <= _SMALL and scores.is_cpu:
        _select_few(scores, drop, mask, *masked)
        return
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


def _select_few(scores: Tensor, drop: int, mask: Tensor, *masked: Tensor) -> None:
    """Select from few scores, where the number of calls is what takes time."""
    keys = flat(scores.contiguous())
    keys = (keys & torch.iinfo(keys.dtype).max).clamp_(max=FORMATS[scores.dtype] + 1)
    value = keys.kthvalue(drop + 1).values
    kept = keys >= value
    surplus = int(kept.count_nonzero()) - (len(keys) - drop)
    if surplus:
        kept[(keys == value).nonzero()[:surplus]] = False
    mask.copy_(kept.view(mask.shape))
    if masked:
        out, weight = masked
        bits = INTEGERS[weight.itemsize]
        ones = kept.view(torch.int8).neg().view(mask.shape)  # all ones, or 0
        torch.bitwise_and(weight.view(bits), ones, out=out.view(bits))


def _keys(bits: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield the bits without their sign, chunk by chunk with its place; each chunk overwrites the one before."""
    scratch = torch.empty_like(bits[:_CHUNK])
    for start in range(0, len(bits), _CHUNK):
        here = slice(start, start + _CHUNK)
        part = bits[here]
        yield here, torch.bitwise_and(part, torch.iinfo(bits.dtype).max, out=scratch[: len(part)])


def _ranked(bits: Tensor, rank: int) -> tuple[int, int]:
    """Return the key of this rank (from 0, ascending) and how many of its equals rank before it."""
    low, below = 0, 0  # the key lies from ``low`` on and has this rank there; ``below`` keys lie under it
    for shift in range(torch.iinfo(bits.dtype).bits - 16, -1, -16):
        if len(bits) <= _SMALL and bits.is_cpu:
            keys = bits & torch.iinfo(bits.dtype).max
            value = int(keys.kthvalue(below + rank + 1).values)
            return value, below + rank - int((keys < value).sum())
        counts = _histogram(bits, low, shift)
        if below:
            counts[0] -= below
        digit, before, members = _bin_of(counts, rank)
        low, below, rank = low + (digit << shift), below + before, rank - before
        if shift and members * 16 < len(bits):
            bits = _around(bits, low, shift)
            below = int((bits < low).sum())
    return low, rank


def _histogram(bits: Tensor, low: int, shift: int) -> Tensor:
    """Count the 16 bits above ``shift`` of the keys from ``low`` on; what lies outside counts in the end bins."""
    top = low + (1 << (shift + 16)) - 1
    total = torch.zeros(0, dtype=torch.int64, device=bits.device)
    for _, keys in _keys(bits):
        if top <= torch.iinfo(bits.dtype).max:
            keys.clamp_(low, top).sub_(low)
        counts = torch.bincount(keys.bitwise_right_shift_(shift), minlength=len(total))
        counts[: len(total)] += total
        total = counts
    return total


def _bin_of(counts: Tensor, rank: int) -> tuple[int, int, int]:
    """Return the bin of a histogram that holds this rank, how many lie in the bins before it and how many in it."""
    ends = counts.cumsum(0)
    which = int(torch.searchsorted(ends, rank, right=True))
    members = int(counts[which])
    return which, int(ends[which]) - members, members


def _around(bits: Tensor, low: int, shift: int) -> Tensor:
    """Return the keys that equal ``low`` above ``shift``, and those that share a group of eight with one."""
    found = []
    for here, keys in _keys(bits):
        part = bits[here]
        outside = keys.bitwise_right_shift_(shift).sub_(low >> shift).to(torch.bool)
        whole = len(part) // 8 * 8  # nonzero is slow, so it looks at eight bools as one integer
        groups = (outside[:whole].view(torch.int64) != _EIGHT_TRUE).nonzero().squeeze(1)
        found += [part[:whole].view(-1, 8).index_select(0, groups).flatten(), part[whole:]]
    return torch.cat(found).bitwise_and_(torch.iinfo(bits.dtype).max)


def _tie(bits: Tensor, value: int, infinity: int, rank: int) -> int:
    """Return the index of the key of this rank (from 0, by position) among those that equal ``value``."""
    for here, keys in _keys(bits):
        other = keys.clamp_(max=infinity + 1).sub_(value).to(torch.bool)  # `==` would be slower
        count = len(other) - int(other.sum(dtype=torch.int32))
        if rank < count:
            return here.start + _bin_of(~other, rank)[0]
        rank -= count
    raise AssertionError("fewer equal keys than were counted")


def _apply(bits: Tensor, limit: int, mask: Tensor, *masked: Tensor) -> None:
    """Keep what is above ``limit``, in integers: comparing and multiplying by bools is slower."""
    edge = torch.tensor(limit, dtype=bits.dtype, device=bits.device)
    sign = torch.iinfo(bits.dtype).bits - 1
    for here, keys in _keys(bits):
        kept = torch.sub(edge, keys, out=keys).bitwise_right_shift_(sign)  # all ones, or 0
        mask[here].copy_(kept)
        if masked:
            out, weight = masked
            torch.bitwise_and(weight[here], kept, out=out[here])
