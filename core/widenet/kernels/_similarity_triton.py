"""Similar units on a GPU: a program a tile of correlations, which is compared and added up where it was made.

As in ``_similarity_torch``, a tile is added up in float32, ``ROWS`` samples at a time, so that the same bound holds. Pairs that
lie near a level are listed, and looked at in float64 afterwards.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from widenet.kernels._columns import ROWS, Columns
from widenet.kernels._similarity_torch import margin, settle

TILE = 128
"""Rows and columns of a tile."""
DEEP = 16
"""Samples that are multiplied at once."""
ROOM = 1 << 20
"""Pairs in doubt for which there is room."""
OPTIONS = {"num_warps": 8, "enable_fp_fusion": True}


@triton.jit
def _standard(x, rows, columns, mean, scale, samples, units, down, along):
    """A block of standardised samples, as float32."""
    inside = (rows < samples)[:, None] & (columns < units)[None, :]
    values = tl.load(x + rows.to(tl.int64)[:, None] * down + columns.to(tl.int64)[None, :] * along, mask=inside, other=0)
    values = (values.to(tl.float64) - mean[None, :]) * scale[None, :]
    return tl.where(inside, values, 0).to(tl.float32)


@triton.jit
def count_tile(
    x,
    mean,
    scale,
    low,
    high,
    counts,
    unsure,
    listed,
    samples,
    units,
    down,
    along,
    levels,
    room,
    tile: tl.constexpr,
    deep: tl.constexpr,
    rows: tl.constexpr,
):
    """Add the tile's pairs i < j that surely reach a level to ``counts`` (T, N); list those in doubt in ``unsure``."""
    row, column = tl.program_id(0), tl.program_id(1)
    if row <= column:
        i, j = row * tile + tl.arange(0, tile), column * tile + tl.arange(0, tile)
        mean_i, mean_j = tl.load(mean + i, mask=i < units, other=0), tl.load(mean + j, mask=j < units, other=0)
        scale_i, scale_j = tl.load(scale + i, mask=i < units, other=0), tl.load(scale + j, mask=j < units, other=0)
        r = tl.zeros([tile, tile], tl.float32)
        for start in range(0, samples, rows):
            part = tl.zeros([tile, tile], tl.float32)
            for step in range(0, tl.minimum(rows, samples - start), deep):
                m = start + step + tl.arange(0, deep)
                a = _standard(x, m, i, mean_i, scale_i, samples, units, down, along)
                b = _standard(x, m, j, mean_j, scale_j, samples, units, down, along)
                part = tl.dot(tl.trans(a), b, part, input_precision="ieee")
            r += part
        r = tl.abs(r)
        pairs = (i[:, None] < j[None, :]) & (j < units)[None, :]
        for k in range(levels):
            sure = pairs & (r >= tl.load(high + k))
            near = pairs & (r >= tl.load(low + k)) & (sure == 0)
            tl.atomic_add(counts + k * units + i, tl.sum(sure.to(tl.int32), 1), mask=i < units, sem="relaxed")
            tl.atomic_add(counts + k * units + j, tl.sum(sure.to(tl.int32), 0), mask=j < units, sem="relaxed")
            if tl.max(tl.max(near.to(tl.int32), 1), 0) > 0:
                place = tl.atomic_add(listed + tl.zeros([tile, tile], tl.int32), 1, mask=near, sem="relaxed")
                kept = near & (place < room)
                tl.store(unsure + place, k + tl.zeros([tile, tile], tl.int32), mask=kept)
                tl.store(unsure + room + place, tl.broadcast_to(i[:, None], [tile, tile]), mask=kept)
                tl.store(unsure + 2 * room + place, tl.broadcast_to(j[None, :], [tile, tile]), mask=kept)


def similar_triton(columns: Columns, levels: Tensor, room: int = ROOM) -> Tensor | None:
    """Do what ``similar_torch`` does, or return None where more than ``room`` pairs are in doubt.

    CPU tensors work in Triton's interpreter.
    """
    x, units = columns.x, len(columns.mean)
    counts, listed = (torch.zeros(size, dtype=torch.int32, device=x.device) for size in ((len(levels), units), 1))
    unsure = torch.empty(3, room, dtype=torch.int32, device=x.device)
    doubt = margin(len(x))
    edges = [(levels + sign * doubt).float() for sign in (-1, 1)]
    side = triton.cdiv(units, TILE)
    if counts.numel():
        with torch.cuda.device_of(x):
            tensors = x, columns.mean, columns.scale, *edges, counts, unsure, listed
            sizes = len(x), units, *x.stride(), len(levels), room
            count_tile[side, side](*tensors, *sizes, tile=TILE, deep=DEEP, rows=ROWS, **OPTIONS)
    found = int(listed)
    if found > room:
        return None
    whole = counts.long()
    k, i, j = unsure[:, :found].long()
    settle(columns, levels, whole, k, i, j)
    return whole
