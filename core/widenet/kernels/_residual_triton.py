"""The sum of absolute residual correlations on a GPU: a program a tile, none of which leaves the chip.

The products are added up one k at a time, for not every Triton multiplies float64 matrices.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 64
"""Rows and columns of a tile."""
OPTIONS = {"num_warps": 8, "enable_fp_fusion": True}


@triton.jit
def add_tile(scatter, outside, y, roots, sums, floor, width, q, c, tile: tl.constexpr):
    """Store the sum of the tile's pairs i < j; tiles left of the diagonal have none and store nothing."""
    row, column = tl.program_id(0), tl.program_id(1)
    if row <= column:
        i, j = row * tile + tl.arange(0, tile), column * tile + tl.arange(0, tile)
        products = tl.zeros([tile, tile], tl.float64)
        for _ in range(c):
            products += tl.load(y + i, mask=i < q, other=0)[:, None] * tl.load(y + j, mask=j < q, other=0)[None, :]
            y += q
        pairs = (i[:, None] < j[None, :]) & (j < q)[None, :]
        entry = tl.load(outside + i, mask=i < q, other=0)[:, None] * width + tl.load(outside + j, mask=j < q, other=0)[None, :]
        residuals = tl.load(scatter + entry, mask=pairs, other=0) - products
        sizes = tl.load(roots + i, mask=i < q, other=1)[:, None] * tl.load(roots + j, mask=j < q, other=1)[None, :]
        correlations = tl.abs(residuals) / (sizes + tl.load(floor))
        total = tl.sum(tl.sum(tl.where(pairs, correlations, 0), 1), 0)
        tl.store(sums + row * tl.num_programs(1) + column, total)


def residual_triton(scatter: Tensor, outside: Tensor, y: Tensor, roots: Tensor, floor: float) -> Tensor:
    """Do what ``residual_torch`` does; CPU tensors work in Triton's interpreter."""
    q = len(outside)
    tiles = triton.cdiv(q, TILE)
    sums = scatter.new_zeros(tiles, tiles)
    floors = scatter.new_full((1,), floor)  # a plain number would arrive as float32
    if q:
        with torch.cuda.device_of(scatter):
            tensors = scatter.contiguous(), outside, y.contiguous(), roots, sums, floors
            add_tile[tiles, tiles](*tensors, scatter.shape[1], q, len(y), tile=TILE, **OPTIONS)
    return sums.sum()
