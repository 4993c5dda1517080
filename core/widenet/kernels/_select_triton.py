"""The selection of ``select`` on a GPU: a radix select of eight bits a pass that never waits for the host.

Each pass counts one digit of the keys that share the digits found so far. Every program finds those itself from the
tables of the earlier passes, which is cheaper than a launch in between. Floats are read as integers throughout. Several
tensors are one selection with the same tables; each is read where it lies.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl

from widenet.kernels._bits import FORMATS, Line, Part

BINS = tl.constexpr(256)


@triton.jit
def _load_keys(scores, mask, at, n, marked: tl.constexpr, width: tl.constexpr, infinity: tl.constexpr):
    """Load magnitudes as integers, every NaN as the same one; where ``marked``, what the mask marks ranks above them all."""
    bits = tl.load(scores + at, mask=at < n, other=0)
    if width < 32:
        bits = bits.to(tl.int32)
    keys = tl.minimum(bits & ((1 << (width - 1)) - 1), infinity + 1)
    if marked:
        keys = tl.where(tl.load(mask + at, mask=at < n, other=0) != 0, infinity + 2, keys)
    return keys


@triton.jit
def _found(tables, drop, levels: tl.constexpr):
    """Return the leading digits of the key of rank ``drop`` and its rank among the keys that share them."""
    bins = tl.arange(0, BINS)
    prefix = 0
    rank = drop
    for level in tl.static_range(levels):
        counts = tl.load(tables + level * BINS + bins)
        digit = tl.sum((tl.cumsum(counts, 0) <= rank).to(tl.int32), 0)
        rank = rank - tl.sum(tl.where(bins < digit, counts, 0), 0)
        prefix = prefix * BINS + digit.to(tl.int64)
    return prefix, rank


@triton.jit(do_not_specialize=["drop"])
def count_digits(
    scores,
    mask,
    tables,
    n,
    drop,
    level: tl.constexpr,
    marked: tl.constexpr,
    width: tl.constexpr,
    infinity: tl.constexpr,
    block: tl.constexpr,
):
    """Add to table ``level`` the counts of that digit among the keys that share all digits above it."""
    at = tl.program_id(0) * block + tl.arange(0, block)
    keys = _load_keys(scores, mask, at, n, marked, width, infinity)
    shift: tl.constexpr = width - 8 * (level + 1)
    member = at < n
    if level > 0:
        prefix, _ = _found(tables, drop, level)
        member = member & ((keys >> (shift + 8)) == prefix.to(keys.dtype))
    digits = tl.where(member, (keys >> shift) & (BINS - 1), 0).to(tl.int32)
    bins = tl.arange(0, BINS)
    strangers = block - tl.sum(member.to(tl.int32), 0)  # counted in bin 0: histogram has a mask only of late
    counts = tl.histogram(digits, BINS) - tl.where(bins == 0, strangers, 0)
    tl.atomic_add(tables + level * BINS + bins, counts, mask=counts > 0)


@triton.jit(do_not_specialize=["drop", "first"])
def count_equal(
    scores,
    mask,
    tables,
    equals,
    n,
    drop,
    first,
    marked: tl.constexpr,
    width: tl.constexpr,
    infinity: tl.constexpr,
    block: tl.constexpr,
):
    """Count the keys of each block that equal the threshold, from place ``first`` of ``equals`` on."""
    at = tl.program_id(0) * block + tl.arange(0, block)
    keys = _load_keys(scores, mask, at, n, marked, width, infinity)
    value, _ = _found(tables, drop, width // 8)
    equal = (at < n) & (keys == value.to(keys.dtype))
    tl.store(equals + first + tl.program_id(0), tl.sum(equal.to(tl.int32), 0))


@triton.jit(do_not_specialize=["drop", "first"])
def write(
    scores,
    mask,
    tables,
    ends,
    out,
    weight,
    n,
    drop,
    first,
    weighted: tl.constexpr,
    marked: tl.constexpr,
    width: tl.constexpr,
    infinity: tl.constexpr,
    block: tl.constexpr,
):
    """Write the mask and the masked weight; ``ends`` sums the equal keys up to the end of each block."""
    at = tl.program_id(0) * block + tl.arange(0, block)
    inside = at < n
    keys = _load_keys(scores, mask, at, n, marked, width, infinity)
    prefix, spare = _found(tables, drop, width // 8)
    value = prefix.to(keys.dtype)
    equal = inside & (keys == value)
    which = first + tl.program_id(0)
    before = tl.load(ends + which - 1, mask=which > 0, other=0)
    place = before + tl.cumsum(equal.to(tl.int32), 0) - 1
    kept = (keys > value) | (equal & (place >= spare))
    tl.store(mask + at, kept.to(tl.uint8), mask=inside)
    if weighted:
        bits = tl.load(weight + at, mask=inside, other=0)
        tl.store(out + at, tl.where(kept, bits, 0).to(bits.dtype), mask=inside)


def select_triton(parts: Sequence[Part], keep: int, floors: Sequence[int], *, block: int = 4096) -> None:
    """Do what ``select_torch`` does; CPU tensors work in Triton's interpreter.

    Floors are selected first, each alone, and then rank above all else in the selection of the rest.
    """
    lines = [Line(scores.contiguous(), *rest) for scores, *rest in parts]
    with torch.cuda.device_of(lines[0].bits):
        for line, floor in zip(lines, floors, strict=True):
            if floor:
                _launch([line], floor, False, block)
        _launch(lines, keep, any(floors), block)
    for line in lines:
        line.hand_back()


def _launch(lines: list[Line], keep: int, marked: bool, block: int) -> None:
    """Select from lines in C order; where ``marked``, keep what their masks mark before all else."""
    scores, device = lines[0].scores, lines[0].bits.device
    width = 8 * scores.itemsize
    drop = sum(len(line.bits) for line in lines) - keep
    sizes: dict[str, Any] = {"marked": marked, "width": width, "infinity": FORMATS[scores.dtype], "block": block}
    sizes |= {"num_warps": 8, "enable_fp_fusion": False}
    tables = torch.zeros(width // 8, BINS.value, dtype=torch.int32, device=device)
    marks = [line.mask.view(torch.uint8) for line in lines]
    blocks = [triton.cdiv(len(line.bits), block) for line in lines]
    firsts = [sum(blocks[:i]) for i in range(len(lines))]
    equals = torch.empty(sum(blocks), dtype=torch.int32, device=device)
    for level in range(width // 8):
        for line, mask, grid in zip(lines, marks, blocks, strict=True):
            count_digits[(grid,)](line.bits, mask, tables, len(line.bits), drop, level=level, **sizes)
    for line, mask, grid, first in zip(lines, marks, blocks, firsts, strict=True):
        count_equal[(grid,)](line.bits, mask, tables, equals, len(line.bits), drop, first, **sizes)
    ends = equals.cumsum(0, dtype=torch.int32)
    for line, mask, grid, first in zip(lines, marks, blocks, firsts, strict=True):
        out, weight = line.masked or (line.bits, line.bits)
        weighted = bool(line.masked)
        write[(grid,)](line.bits, mask, tables, ends, out, weight, len(line.bits), drop, first, weighted=weighted, **sizes)
