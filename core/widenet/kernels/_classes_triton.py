"""The grouping of ``classes`` on a GPU: one sweep adds up the hashes, a second one checks the members of each group.

A part (a, n, b) is gone through in steps of one row i and up to ``wide`` of its bits j, for a block of units at a time. Where b
is 1, neighbouring units lie next to each other, else neighbouring bits; either way the tile of a step is read in whole lines.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from widenet.kernels._classes_torch import GOLDEN, MIX, first_members, numbered

STEP, FIRST, SECOND = tl.constexpr(GOLDEN), tl.constexpr(MIX[0]), tl.constexpr(MIX[1])
TILE = 2048
"""Bits that a program reads at once."""
WIDE = 256
"""Of them at most so many of one unit."""
STEPS = 32
"""Tiles that a program reads one after the other."""


@triton.jit
def _words(position):
    """The random words of these positions (splitmix64)."""
    words = (position + 1).to(tl.uint64) * STEP
    words = (words ^ (words >> 30)) * FIRST
    words = (words ^ (words >> 27)) * SECOND
    return words ^ (words >> 31)


@triton.jit(do_not_specialize=["position"])
def add_words(part, sums, a, n, b, position, units: tl.constexpr, wide: tl.constexpr, steps: tl.constexpr):
    """Add to ``sums`` the words of the set bits; that of the part's first position is word ``position``."""
    u = tl.program_id(0).to(tl.int64) * units + tl.arange(0, units)
    chunks = tl.cdiv(b, wide)
    start = tl.program_id(1) * steps
    total = tl.zeros([units, wide], tl.uint64)
    for step in range(start, tl.minimum(start + steps, a * chunks)):
        i, j = (step // chunks).to(tl.int64), step % chunks * wide + tl.arange(0, wide)
        inside = (u < n)[:, None] & (j < b)[None, :]
        bits = tl.load(part + i * n * b + u[:, None] * b + j[None, :], mask=inside, other=0)
        words = _words(position + i * b + j)
        total += tl.where(bits != 0, words[None, :], 0)
    tl.atomic_add(sums + u, tl.sum(total, 1).to(tl.int64, bitcast=True), mask=u < n, sem="relaxed")


@triton.jit
def compare(part, firsts, differ, a, n, b, units: tl.constexpr, wide: tl.constexpr, steps: tl.constexpr):
    """Set ``differ`` if a unit has other bits than the first member of its group."""
    u = tl.program_id(0).to(tl.int64) * units + tl.arange(0, units)
    first = tl.load(firsts + u, mask=u < n, other=0)
    member = (u < n) & (first != u)
    chunks = tl.cdiv(b, wide)
    start = tl.program_id(1) * steps
    found = tl.zeros([units, wide], tl.uint8)
    for step in range(start, tl.minimum(start + steps, a * chunks)):
        i, j = (step // chunks).to(tl.int64), step % chunks * wide + tl.arange(0, wide)
        inside = member[:, None] & (j < b)[None, :]
        row = part + i * n * b + j[None, :]
        bits = tl.load(row + u[:, None] * b, mask=inside, other=0)
        found |= bits ^ tl.load(row + first[:, None] * b, mask=inside, other=0)
    any_ = tl.max(tl.max(found.to(tl.int32), 1), 0)
    tl.store(differ, any_, mask=any_ != 0)


def classes_triton(parts: Sequence[Tensor]) -> Tensor | None:
    """Do what ``classes_numba`` does; CPU tensors work in Triton's interpreter."""
    parts = [part.view(torch.uint8) for part in parts]
    with torch.cuda.device_of(parts[0]):
        groups = numbered(hashes(parts).unique(return_inverse=True)[1])
        differ = torch.zeros(1, dtype=torch.int32, device=groups.device)
        firsts = first_members(groups)[groups]
        for part in parts:
            grid, sizes = _blocks(part)
            compare[grid](part, firsts, differ, *part.shape, **sizes)
    return None if differ.item() else groups


def hashes(parts: Sequence[Tensor]) -> Tensor:
    """int64 (n,): the sum of the words of all set bits of each unit of the contiguous uint8 parts (a, n, b)."""
    sums, position = torch.zeros(parts[0].shape[1], dtype=torch.int64, device=parts[0].device), 0
    for part in parts:
        grid, sizes = _blocks(part)
        add_words[grid](part, sums, *part.shape, position, **sizes)
        position += part.shape[0] * part.shape[2]
    return sums


def _blocks(part: Tensor) -> tuple[tuple[int, int], dict[str, Any]]:
    """How many programs go through a part, and the sizes of their tiles."""
    a, n, b = part.shape
    wide = min(WIDE, triton.next_power_of_2(b))
    units = min(TILE // wide, triton.next_power_of_2(n))
    grid = triton.cdiv(n, units), triton.cdiv(a * triton.cdiv(b, wide), STEPS)
    return grid, {"units": units, "wide": wide, "steps": STEPS, "enable_fp_fusion": False}
