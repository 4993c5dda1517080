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


class Hint:
    """Where the last threshold lay: a first guess at the next one, from scores that have changed a little since.

    A right guess saves a pass over the scores, a wrong one costs one; neither changes the result.
    """

    digit: int | None = None


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


def select_torch(scores: Tensor, drop: int, mask: Tensor, *masked: Tensor, hint: Hint | None = None) -> None:
    """Select in PyTorch, for scores of a dtype in ``FORMATS`` and 0 < ``drop`` < n."""
    if scores.numel() <= _SMALL and scores.is_cpu:
        _select_few(scores, drop, mask, *masked)
        return
    if torch.empty_like(scores, device="meta").stride() != scores.stride():
        scores = scores.contiguous()  # it was not dense
    bits, infinity = flat(scores), FORMATS[scores.dtype]
    shift = torch.iinfo(bits.dtype).bits - 16
    with in_order(scores, mask, *masked) as tensors:
        members = None
        if hint is not None and hint.digit is not None:
            members = _sweep(bits, hint.digit, shift, drop, *tensors)
        if members is None:
            digit = _bin_of(_histogram(bits, 0, shift), drop)[0]
            if digit >= infinity >> shift:  # NaNs, of which there are many, may lie in several bins: make them one
                bits = (bits & torch.iinfo(bits.dtype).max).clamp_(max=infinity + 1)
                digit = _bin_of(_histogram(bits, 0, shift), drop)[0]
            elif hint is not None:
                hint.digit = digit
            members = _sweep(bits, digit, shift, drop, *tensors)
        assert members is not None, "the histogram has found the bin"
        kept = _kept(scores, *members)
        tensors[0].index_fill_(0, kept, 1)
        if masked:
            out, weight = tensors[1:]
            out.index_copy_(0, kept, weight.index_select(0, kept))


def _sweep(bits: Tensor, digit: int, shift: int, drop: int, mask: Tensor, *masked: Tensor) -> tuple[Tensor, Tensor, int] | None:
    """Keep what lies in the bins above ``digit`` and drop the rest; return what that bin holds, for a closer look.

    That is the places (in memory order) and keys of its members and the rank of the threshold among them, or None where the
    threshold lies in another bin.
    """
    most = torch.iinfo(bits.dtype).max
    edge = torch.tensor(digit, dtype=bits.dtype, device=bits.device)
    sign = torch.iinfo(bits.dtype).bits - 1
    places, above = [], 0
    for here, keys in _keys(bits):
        torch.sub(edge, keys.bitwise_right_shift_(shift), out=keys)
        places.append(_zeros(keys).add_(here.start))
        kept = keys.bitwise_right_shift_(sign)  # all ones, or 0: comparing and multiplying by bools is slower
        mask[here].copy_(kept)
        above += int(mask[here].count_nonzero())
        if masked:
            out, weight = masked
            torch.bitwise_and(weight[here], kept, out=out[here])
    where = torch.cat(places)
    rank = drop - (len(bits) - above - len(where))
    return (where, bits.index_select(0, where).bitwise_and_(most), rank) if 0 <= rank < len(where) else None


def _zeros(values: Tensor) -> Tensor:
    """The places of the zeros; ``nonzero`` is slow, so it looks at eight bools as one integer where zeros are rare."""
    other = values.to(torch.bool)
    whole = len(other) // 8 * 8
    groups = (other[:whole].view(torch.int64) != _EIGHT_TRUE).nonzero()
    near = torch.cat(
        [(groups * 8 + torch.arange(8, device=values.device)).flatten(), torch.arange(whole, len(other), device=values.device)]
    )
    return near[~other.index_select(0, near)]


def _kept(scores: Tensor, places: Tensor, keys: Tensor, rank: int) -> Tensor:
    """The places of the members that rank no lower than ``rank``; of equals, the lowest flat indices rank lowest."""
    value, spare = _ranked(keys, rank)
    kept = keys > value
    equal = places[keys == value]
    if spare:
        index = _flat_index(equal, scores)
        equal = equal[index > index.kthvalue(spare).values]
    return torch.cat([places[kept], equal])


def _flat_index(places: Tensor, tensor: Tensor) -> Tensor:
    """The index in C order of elements of a dense tensor given by their places in memory."""
    index, stride_c = torch.zeros_like(places), 1
    for size, stride in zip(reversed(tensor.shape), reversed(tensor.stride()), strict=True):
        if size > 1:
            index += places // stride % size * stride_c
        stride_c *= size
    return index


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
