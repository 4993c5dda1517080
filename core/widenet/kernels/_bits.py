"""Floats read as integers, which order like the floats once the sign is gone, and their ranks found by counting.

The work goes through a tensor in chunks that stay in the cache, so it needs next to no memory of its own.
"""

import itertools
from collections.abc import Iterator, Sequence

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
CHUNK = 1 << 19  # elements
SMALL = 1 << 14  # up to here kthvalue beats the histogram
_EIGHT_TRUE = 0x0101010101010101  # eight true bools read as one integer


def flat(tensor: Tensor) -> Tensor:
    """View a dense tensor in one dimension, in the order of its memory; floats as integers."""
    line = tensor.as_strided((tensor.numel(),), (1,))
    return line.view(INTEGERS[tensor.itemsize]) if tensor.is_floating_point() else line


def magnitudes(bits: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield the bits without their sign, chunk by chunk with its place; each chunk overwrites the one before."""
    scratch = torch.empty_like(bits[:CHUNK])
    for start in range(0, len(bits), CHUNK):
        here = slice(start, start + CHUNK)
        part = bits[here]
        yield here, torch.bitwise_and(part, torch.iinfo(bits.dtype).max, out=scratch[: len(part)])


def zeros(values: Tensor) -> Tensor:
    """The places of the zeros; ``nonzero`` is slow, so it looks at eight bools as one integer where zeros are rare."""
    if len(values) <= SMALL:
        return values.logical_not().nonzero().squeeze(1)
    other = values.to(torch.bool)
    whole = len(other) // 8 * 8
    groups = (other[:whole].view(torch.int64) != _EIGHT_TRUE).nonzero()
    near = torch.cat(
        [(groups * 8 + torch.arange(8, device=values.device)).flatten(), torch.arange(whole, len(other), device=values.device)]
    )
    return near[~other.index_select(0, near)]


def flat_index(places: Tensor, tensor: Tensor) -> Tensor:
    """The index in C order of elements of a dense tensor given by their places in memory."""
    index, stride_c = torch.zeros_like(places), 1
    for size, stride in zip(reversed(tensor.shape), reversed(tensor.stride()), strict=True):
        if size > 1:
            index += places // stride % size * stride_c
        stride_c *= size
    return index


def histogram(lines: Sequence[Tensor], low: int, shift: int, bins: int = 0) -> Tensor:
    """Count the 16 bits above ``shift`` of the keys from ``low`` on; what lies outside counts in the end bins.

    All lines count together. There are ``bins`` bins, or more if more are needed.
    """
    most = torch.iinfo(lines[0].dtype).max
    top = low + (1 << (shift + 16)) - 1
    total = torch.zeros(bins, dtype=torch.int64, device=lines[0].device)
    for _, keys in itertools.chain.from_iterable(map(magnitudes, lines)):
        if top <= most:
            keys.clamp_(low, top).sub_(low)
        counts = torch.bincount(keys.bitwise_right_shift_(shift), minlength=len(total))
        counts[: len(total)] += total
        total = counts
    return total


def ranked(bits: Tensor, rank: int) -> tuple[int, int]:
    """Return the key of this rank (from 0, ascending) and how many of its equals rank before it."""
    low, below = 0, 0  # the key lies from ``low`` on and has this rank there; ``below`` keys lie under it
    for shift in range(torch.iinfo(bits.dtype).bits - 16, -1, -16):
        if len(bits) <= SMALL and bits.is_cpu:
            keys = bits & torch.iinfo(bits.dtype).max
            value = int(keys.kthvalue(below + rank + 1).values)
            return value, below + rank - int((keys < value).sum())
        counts = histogram([bits], low, shift)
        if below:
            counts[0] -= below
        digit, before, members = _bin_of(counts, rank)
        low, below, rank = low + (digit << shift), below + before, rank - before
        if shift and members * 16 < len(bits):
            bits = _around(bits, low, shift)
            below = int((bits < low).sum())
    return low, rank


def _bin_of(counts: Tensor, rank: int) -> tuple[int, int, int]:
    """Return the bin of a histogram that holds this rank, how many lie in the bins before it and how many in it."""
    ends = counts.cumsum(0)
    which = int(torch.searchsorted(ends, rank, right=True))
    members = int(counts[which])
    return which, int(ends[which]) - members, members


def _around(bits: Tensor, low: int, shift: int) -> Tensor:
    """Return the keys that equal ``low`` above ``shift``, and those that share a group of eight with one."""
    found = []
    for here, keys in magnitudes(bits):
        part = bits[here]
        outside = keys.bitwise_right_shift_(shift).sub_(low >> shift).to(torch.bool)
        whole = len(part) // 8 * 8  # nonzero is slow, so it looks at eight bools as one integer
        groups = (outside[:whole].view(torch.int64) != _EIGHT_TRUE).nonzero().squeeze(1)
        found += [part[:whole].view(-1, 8).index_select(0, groups).flatten(), part[whole:]]
    return torch.cat(found).bitwise_and_(torch.iinfo(bits.dtype).max)
