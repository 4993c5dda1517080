"""The grouping of ``classes`` on a CPU: compiled loops that read the masks where they lie.

A part (a, n, b) lies in memory as a rows of n units of b bits. Where b is 1, loops run over the units of a row, else over the
bits of a unit; both are contiguous and become vector instructions.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from widenet.kernels._classes_torch import GOLDEN, MIX

STEP, FIRST, SECOND = np.uint64(GOLDEN), np.uint64(MIX[0]), np.uint64(MIX[1])
STRIPE = 64
"""Rows after which it is seen whether all units are known to be occupied, and bits of a unit read before the next is."""

Array = np.ndarray[Any, Any]


def classes_numba(parts: Sequence[Tensor]) -> Tensor | None:
    """Group the units by their hashes; None where two that differ have the same one. The parts are contiguous."""
    arrays = [part.view(torch.uint8).numpy() for part in parts]
    groups, firsts = _group(hashes(arrays))
    members = np.flatnonzero(firsts != np.arange(len(firsts)))
    if len(members) and not all(_agree(array, members, firsts[members]) for array in arrays):
        return None
    return torch.from_numpy(groups)


def occupied_numba(part: Tensor) -> Tensor:
    """Which units have any bit set, read only until one is found; the part is contiguous."""
    found = np.zeros(part.shape[1], np.bool_)
    _occupy(part.view(torch.uint8).numpy(), found)
    return torch.from_numpy(found)


def hashes(arrays: Sequence[Array]) -> Array:
    """uint64 (n,): the sum of the words of all set bits of each unit of the uint8 arrays (a, n, b)."""
    sums, position = np.zeros(arrays[0].shape[1], np.uint64), 0
    for array in arrays:
        _hash(array, np.uint64(position), sums)
        position += array.shape[0] * array.shape[2]
    return sums


@numba.njit(cache=True, nogil=True)
def _word(position: np.uint64) -> np.uint64:
    """The random word of a position (splitmix64)."""
    word = (position + np.uint64(1)) * STEP
    word = (word ^ (word >> np.uint64(30))) * FIRST
    word = (word ^ (word >> np.uint64(27))) * SECOND
    return word ^ (word >> np.uint64(31))


@numba.njit(cache=True, nogil=True)
def _hash(part: Array, position: np.uint64, sums: Array) -> None:
    """Add to ``sums`` the words of the set bits; that of the part's first position is word ``position``."""
    a, n, b = part.shape
    words = np.empty(b, np.uint64)
    for i in range(a):
        for j in range(b):
            words[j] = _word(position + np.uint64(i * b + j))
        if b == 1:
            _add(part[i, :, 0], words[0], sums)
        else:
            for u in range(n):
                sums[u] += _sum(part[i, u], words)


@numba.njit(cache=True, nogil=True)
def _add(bits: Array, word: np.uint64, sums: Array) -> None:
    for u in range(len(bits)):
        sums[u] += word & -np.uint64(bits[u])


@numba.njit(cache=True, nogil=True)
def _sum(bits: Array, words: Array) -> np.uint64:
    total = np.uint64(0)
    for j in range(len(bits)):
        total += words[j] & -np.uint64(bits[j])
    return total


@numba.njit(cache=True, nogil=True)
def _group(sums: Array) -> tuple[Array, Array]:
    """The group of each unit, in the order of first members, and the first member of its group."""
    n, size = len(sums), 2
    while size < 2 * n:
        size *= 2
    table = np.full(size, -1)
    groups, firsts = np.empty(n, np.int64), np.empty(n, np.int64)
    count = 0
    for u in range(n):
        slot = np.int64(sums[u] & np.uint64(size - 1))
        while table[slot] >= 0 and sums[table[slot]] != sums[u]:
            slot = (slot + 1) & (size - 1)
        if table[slot] < 0:
            table[slot], groups[u] = u, count
            count += 1
        firsts[u] = table[slot]
        groups[u] = groups[firsts[u]]
    return groups, firsts


@numba.njit(cache=True, nogil=True)
def _agree(part: Array, members: Array, firsts: Array) -> bool:
    """Whether every member has the bits of the first member of its group."""
    a, n, b = part.shape
    recent = np.zeros(n, np.uint64)
    for i in range(a):
        if b == 1:
            _shift_in(part[i, :, 0], recent)
            if (i % 64 == 63 or i == a - 1) and not _same(recent, members, firsts):
                return False
        else:
            for m in range(len(members)):
                if _differ(part[i, members[m]], part[i, firsts[m]]):
                    return False
    return True


@numba.njit(cache=True, nogil=True)
def _shift_in(bits: Array, recent: Array) -> None:
    """Keep the last 64 bits of every unit: to look at them together spares most of the jumps between units."""
    for u in range(len(bits)):
        recent[u] = (recent[u] << np.uint64(1)) | np.uint64(bits[u])


@numba.njit(cache=True, nogil=True)
def _same(recent: Array, members: Array, firsts: Array) -> bool:
    different = np.uint64(0)
    for m in range(len(members)):
        different |= recent[members[m]] ^ recent[firsts[m]]
    return different == 0


@numba.njit(cache=True, nogil=True)
def _differ(bits: Array, others: Array) -> bool:
    different = np.uint8(0)
    for j in range(len(bits)):
        different |= bits[j] ^ others[j]
    return different != 0


@numba.njit(cache=True, nogil=True)
def _occupy(part: Array, found: Array) -> None:
    a, n, b = part.shape
    for i in range(a):
        if b == 1:
            _or(part[i, :, 0], found)
        else:
            for u in range(n):
                found[u] = found[u] or _any(part[i, u])
        if i % STRIPE == STRIPE - 1 and found.all():
            return


@numba.njit(cache=True, nogil=True)
def _or(bits: Array, found: Array) -> None:
    for u in range(len(bits)):
        found[u] |= bits[u] != 0


@numba.njit(cache=True, nogil=True)
def _any(bits: Array) -> bool:
    for start in range(0, len(bits), STRIPE):
        set_ = np.uint8(0)
        for j in range(start, min(start + STRIPE, len(bits))):
            set_ |= bits[j]
        if set_:
            return True
    return False
