"""The selection of ``select`` on a CPU, for float32: compiled loops that sort nothing but the few scores near the threshold.

The bits of a non-negative float, read as an integer, order like the float. One sweep writes the masks against a band in which
the threshold is expected, from where it lay the last time; only the members of the band are looked at again. Where the guess
fails, or there is none, two counts of sixteen bits each find the threshold. Several tensors are one selection with one count,
each swept where it lies.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import torch

from widenet.kernels._bits import FORMATS, Hint, Line, Part, flat, flat_index

MOST = np.int32(0x7FFFFFFF)
NAN = np.int32(FORMATS[torch.float32] + 1)
"""The key of every NaN, above that of infinity."""
CHUNK = 512
"""Scores among which members of the band are counted together: a chunk without any is not looked at again."""
FEW, MANY = 16, 128
"""Members from which the band is wide enough, and too wide."""

Array = np.ndarray[Any, Any]


@numba.njit(cache=True, nogil=True)
def _sweep(bits: Array, low: np.int32, high: np.int32, mask: Array) -> tuple[int, int]:
    """Mark what lies above the band; how many those are, and how many lie in it."""
    above, inside = 0, 0
    for i in range(len(bits)):
        key = min(bits[i] & MOST, NAN)
        mask[i] = key > high
        above += key > high
        inside += key >= low
    return above, inside - above


@numba.njit(cache=True, nogil=True)
def _sweep_masked(bits: Array, low: np.int32, high: np.int32, mask: Array, out: Array, weight: Array) -> tuple[int, int]:
    """As :func:`_sweep`, and copy the marked weights."""
    above, inside = 0, 0
    for i in range(len(bits)):
        key = min(bits[i] & MOST, NAN)
        kept = key > high
        mask[i] = kept
        out[i] = weight[i] & -np.int32(kept)
        above += kept
        inside += key >= low
    return above, inside - above


@numba.njit(cache=True, nogil=True)
def _sweep_chunks(
    bits: Array, low: np.int32, high: np.int32, mask: Array, out: Array, weight: Array, near: Array
) -> tuple[int, int]:
    """Sweep chunk by chunk (calls, because their loops become vector instructions); ``near`` takes the members of each."""
    total, inside = 0, 0
    for c in range(len(near)):
        here = slice(c * CHUNK, (c + 1) * CHUNK)
        if len(out):
            above, near[c] = _sweep_masked(bits[here], low, high, mask[here], out[here], weight[here])
        else:
            above, near[c] = _sweep(bits[here], low, high, mask[here])
        total += above
        inside += near[c]
    return total, inside


@numba.njit(cache=True, nogil=True)
def _members(bits: Array, low: np.int32, high: np.int32, near: Array, inside: int) -> tuple[Array, Array]:
    """The places and keys of what lies in the band."""
    places, keys = np.empty(inside, np.int64), np.empty(inside, np.int32)
    found = 0
    for c in range(len(near)):
        if near[c] > 0:
            for i in range(c * CHUNK, min((c + 1) * CHUNK, len(bits))):
                key = min(bits[i] & MOST, NAN)
                if low <= key <= high:
                    places[found], keys[found] = i, key
                    found += 1
    return places, keys


@numba.njit(cache=True, nogil=True)
def _count(bits: Array, prefix: np.int32, counts: Array) -> None:
    """Add to ``counts`` the upper sixteen bits of the keys, or the lower ones of those whose upper ones are ``prefix``."""
    for i in range(len(bits)):
        key = min(bits[i] & MOST, NAN)
        if prefix < 0:
            counts[key >> 16] += 1
        elif key >> 16 == prefix:
            counts[key & 0xFFFF] += 1


class Arrays:
    """A part as arrays over the memory of its tensors, and what a sweep found in it."""

    above: int
    inside: int
    """How many scores lie above the band and in it; ``near`` has the latter chunk by chunk."""

    def __init__(self, part: Part) -> None:
        self.line = Line(*part)
        self.bits, mask, *pair = [t.numpy() for t in (self.line.bits, self.line.mask, *self.line.masked)]
        self.mask = mask.view(np.uint8)
        self.out, self.weight = pair or (self.bits[:0], self.bits[:0])
        self.near = np.empty(-(-len(self.bits) // CHUNK), np.int64)

    def sweep(self, low: int, high: int) -> None:
        """Keep what lies above the band, drop the rest, and count."""
        band = np.int32(low), np.int32(high)
        self.above, self.inside = _sweep_chunks(self.bits, *band, self.mask, self.out, self.weight, self.near)

    def members(self, low: int, high: int) -> tuple[Array, Array]:
        """Places (in memory order) and keys of what lies in the band."""
        return _members(self.bits, np.int32(low), np.int32(high), self.near, self.inside)

    def index(self, places: Array) -> Array:
        """The index in C order of what lies at these places."""
        scores = self.line.scores
        return places if scores.is_contiguous() else flat_index(torch.from_numpy(places), scores).numpy()

    def keep(self, places: Array) -> None:
        """Keep these members of the band too."""
        self.mask[places] = 1
        if len(self.out):
            self.out[places] = self.weight[places]

    @property
    def kept(self) -> int:
        """How many are kept."""
        return int(np.count_nonzero(self.mask))


def _arrays(part: Part, hint: Hint, index: int) -> Arrays:
    """A part as arrays: those of the last time where the tensors are the same, which a training step would wait for."""
    scores, mask, *pair = part
    same: tuple[object, ...] = (scores.data_ptr(), mask.data_ptr(), scores.stride(), mask.stride(), scores.shape)
    if pair:
        same += (pair[0].stride(), pair[1].data_ptr(), pair[1].stride())
    known = hint.arrays.get(index)
    if known is None or known[0] != same:
        made = Arrays(part)
        if not made.line.lent and made.line.scores is scores:
            hint.arrays[index] = same, made
        return made
    made = known[1]
    if pair:
        made.out = flat(pair[0]).numpy()
    return made


def select_numba(parts: Sequence[Part], keep: int, floors: Sequence[int], hint: Hint) -> None:
    """Do what ``select_torch`` does, for float32 on a CPU.

    A part that would keep fewer than its floor keeps exactly that, and the others share what is left. They then keep less, so a
    part once short of its floor stays short, and a few rounds suffice; ``hint`` remembers the parts, so that one mostly does.
    """
    lines = [_arrays(part, hint, i) for i, part in enumerate(parts)]
    bound, guessed = hint.bound, hint.bound
    while True:
        left, free = keep - sum(floors[i] for i in bound), [i for i in range(len(lines)) if i not in bound]
        if left > sum(len(lines[i].bits) for i in free):
            bound, guessed = frozenset(), frozenset()  # remembered from another selection
            continue
        lowest = {i: _choose([lines[i]], floors[i], hint.alone(i)) for i in bound}
        threshold = _choose([lines[i] for i in free], left, hint)
        short = {i for i in free if floors[i] and lines[i].kept < floors[i]}
        if any(lowest[i] >= threshold for i in guessed):
            bound, guessed = frozenset(), frozenset()  # one that was short of its floor may not be any more
        elif short:
            bound |= short
        else:
            break
    hint.bound = bound
    for line in lines:
        line.line.hand_back()
        line.out = line.bits[:0]  # the masked weight is the caller's alone


def _choose(lines: Sequence[Arrays], keep: int, hint: Hint) -> int:
    """Keep so many scores of all lines together; the key of the lowest one kept, or more than any where none is."""
    if keep <= 0:
        for line in lines:
            line.sweep(int(NAN), int(NAN))
        return int(NAN) + 1
    low, high = _band(lines, keep, hint)
    inside = sum(line.inside for line in lines)
    lost = inside + sum(line.above for line in lines) - keep
    found = [line.members(low, high) for line in lines]
    places, keys = found[0] if len(found) == 1 else (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    index = [line.index(where) for line, (where, _) in zip(lines, found, strict=True)]
    if len(lines) == 1:
        order = np.lexsort((index[0], keys))
        lines[0].keep(places[order[lost:]])
    else:
        owner = np.repeat(np.arange(len(lines)), [line.inside for line in lines])
        # Of equals, those of earlier tensors rank lowest, and in a tensor those of the lowest index.
        order = np.lexsort((np.concatenate(index), owner, keys))
        won = order[lost:]
        for i, line in enumerate(lines):
            line.keep(places[won[owner[won] == i]])
    hint.centre = int(keys[order[lost]])
    hint.width = hint.width * 2 if inside < FEW else max(1, hint.width // 2) if inside > MANY else hint.width
    return hint.centre


def _band(lines: Sequence[Arrays], keep: int, hint: Hint) -> tuple[int, int]:
    """Sweep for a band that holds the threshold: around the last one or, if that fails, the very key."""
    if hint.centre is not None:
        low, high = max(0, hint.centre - hint.width), min(int(NAN), hint.centre + hint.width)
        if _swept(lines, low, high, keep):
            return low, high
        hint.width = min(1 << 24, hint.width * 4)
    key = _threshold(lines, keep)
    swept = _swept(lines, key, key, keep)
    assert swept, "the counts have found the key"
    return key, key


def _swept(lines: Sequence[Arrays], low: int, high: int, keep: int) -> bool:
    """Sweep for a band; whether the threshold lies in it."""
    for line in lines:
        line.sweep(low, high)
    above = sum(line.above for line in lines)
    return above < keep <= above + sum(line.inside for line in lines)


def _threshold(lines: Sequence[Arrays], keep: int) -> int:
    """The key of rank ``keep`` from above, by counting its upper and then its lower sixteen bits."""
    drop, key = sum(len(line.bits) for line in lines) - keep, 0
    for prefix in (False, True):
        counts = np.zeros(1 << 16, np.int64)
        for line in lines:
            _count(line.bits, np.int32(key if prefix else -1), counts)
        ends = counts.cumsum()
        digit = int(np.searchsorted(ends, drop, side="right"))
        drop -= int(ends[digit - 1]) if digit else 0
        key = (key << 16) + digit
    return key
