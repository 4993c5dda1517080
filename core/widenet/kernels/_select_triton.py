"""The selection of ``select`` on a GPU: a radix select of eight bits a pass that never waits for the host.

Each pass counts one digit of the keys that share the digits found so far. Every program finds those itself from the
tables of the earlier passes, which is cheaper than a launch in between. Floats are read as integers throughout.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

import torch
import triton
import triton.language as tl
from torch import Tensor

from widenet.kernels._select_torch import FORMATS, flat, in_order

BINS = tl.constexpr(256)


@triton.jit
def _load_keys(scores, at, n, width: tl.constexpr, infinity: tl.constexpr):
    """Load magnitudes as integers, every NaN as the same one."""
    bits = tl.load(scores + at, mask=at < n, other=0)
    if width < 32:
        bits = bits.to(tl.int32)
    return tl.minimum(bits & ((1 << (width - 1)) - 1), infinity + 1)


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
    scores, tables, n, drop, level: tl.constexpr, width: tl.constexpr, infinity: tl.constexpr, block: tl.constexpr
):
    """Add to table ``level`` the counts of that digit among the keys that share all digits above it."""
    at = tl.program_id(0) * block + tl.arange(0, block)
    keys = _load_keys(scores, at, n, width, infinity)
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


@triton.jit(do_not_specialize=["drop"])
def count_equal(scores, tables, equals, n, drop, width: tl.constexpr, infinity: tl.constexpr, block: tl.constexpr):
    """Count the keys of each block that equal the threshold."""
    at = tl.program_id(0) * block + tl.arange(0, block)
    keys = _load_keys(scores, at, n, width, infinity)
    value, _ = _found(tables, drop, width // 8)
    equal = (at < n) & (keys == value.to(keys.dtype))
    tl.store(equals + tl.program_id(0), tl.sum(equal.to(tl.int32), 0))


@triton.jit(do_not_specialize=["drop"])
def write(
    scores,
    tables,
    ends,
    mask,
    out,
    weight,
    n,
    drop,
    weighted: tl.constexpr,
    width: tl.constexpr,
    infinity: tl.constexpr,
    block: tl.constexpr,
):
    """Write the mask and the masked weight; ``ends`` sums the equal keys up to the end of each block."""
    program = tl.program_id(0)
    at = program * block + tl.arange(0, block)
    inside = at < n
    keys = _load_keys(scores, at, n, width, infinity)
    prefix, spare = _found(tables, drop, width // 8)
    value = prefix.to(keys.dtype)
    equal = inside & (keys == value)
    before = tl.load(ends + program - 1, mask=program > 0, other=0)
    place = before + tl.cumsum(equal.to(tl.int32), 0) - 1
    kept = (keys > value) | (equal & (place >= spare))
    tl.store(mask + at, kept.to(tl.uint8), mask=inside)
    if weighted:
        bits = tl.load(weight + at, mask=inside, other=0)
        tl.store(out + at, tl.where(kept, bits, 0).to(bits.dtype), mask=inside)


def select_triton(scores: Tensor, drop: int, mask: Tensor, *masked: Tensor, block: int = 4096) -> None:
    """Do what ``select_torch`` does; CPU tensors work in Triton's interpreter."""
    scores = scores.contiguous()
    bits = flat(scores)
    n, width = bits.numel(), 8 * bits.itemsize
    grid = (triton.cdiv(n, block),)
    sizes = {"width": width, "infinity": FORMATS[scores.dtype], "block": block, "num_warps": 8, "enable_fp_fusion": False}
    tables = torch.zeros(width // 8, BINS.value, dtype=torch.int32, device=bits.device)
    equals = torch.empty(grid, dtype=torch.int32, device=bits.device)
    with torch.cuda.device_of(bits), in_order(scores, mask, *masked) as (marks, *pair):
        for level in range(width // 8):
            count_digits[grid](bits, tables, n, drop, level=level, **sizes)
        count_equal[grid](bits, tables, equals, n, drop, **sizes)
        ends = equals.cumsum(0, dtype=torch.int32)
        out, weight = pair or (bits, bits)
        write[grid](bits, tables, ends, marks.view(torch.uint8), out, weight, n, drop, weighted=bool(pair), **sizes)
