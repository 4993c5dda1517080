"""Correlations of all pairs of a layer's units in PyTorch alone: tile after tile of the upper triangle, never N x N of them.

A tile is added up in float32 over ``ROWS`` samples at a time. Whatever the order of the sums, its entries are then within
``margin`` of the true ones, and pairs that lie so near a threshold are looked at again in float64.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from widenet.kernels._columns import ROWS, Columns, spans

TILE = 1024
"""Rows and columns of a tile, of which some stay in a cache."""
PAIRS = 4096
"""Pairs of a tile that are looked at one by one; where more are in doubt, the tile is made again in float64."""
SMALL = 512
"""Units up to which everything is one product in float64."""
ROUNDING = 1e-12
"""How far below a threshold a float64 correlation still reaches it: equal units are similar at a threshold of 1."""


def similar_torch(columns: Columns, levels: Tensor) -> Tensor:
    """Count the others whose absolute correlation with a unit is at least each level, float64 (T,).

    Returns:
        int64 (T, N), on the levels' device; constant units have 0.
    """
    counts = columns.mean.new_zeros(len(levels), len(columns.mean), dtype=torch.int64)
    dtype = torch.float64 if len(columns.mean) <= SMALL else torch.float32
    doubt = 0.0 if dtype == torch.float64 else margin(len(columns.x))
    for down, right, tile in tiles(columns, dtype):
        again = partial(product, columns, down, right, torch.float64)
        rows, cols, (k, i, j) = _tally(tile, levels.tolist(), doubt, again)
        counts[:, down] += rows
        counts[:, right] += cols
        settle(columns, levels, counts, k, i + down.start, j + right.start)
    return counts


def _tally(tile: Tensor, levels: Sequence[float], doubt: float, again: Callable[[], Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Count the entries of each row and column of a tile (a, b) that are surely at least each level.

    ``again`` makes the tile in float64, where nothing is in doubt; it is asked to if more than ``PAIRS`` entries are.

    Returns:
        int64 (T, a) and (T, b), and int64 (3, p): level, row and column of the entries that are within ``doubt`` of a level.
    """
    down, right = (tile.new_zeros(len(levels), size, dtype=torch.int64) for size in tile.shape)
    unsure = [tile.new_zeros(3, 0, dtype=torch.int64)]
    sure, maybe = torch.empty_like(tile), torch.empty_like(tile)  # of the tile's dtype: bools are compared and added up slower
    for k, level in enumerate(levels):
        torch.ge(tile, level + doubt, out=sure)
        down[k], right[k] = sure.sum(1), sure.sum(0)
        if doubt and (near := int(torch.ge(tile, level - doubt, out=maybe).sub_(sure).sum())):
            if near + sum(part.shape[1] for part in unsure) > PAIRS:
                return _tally(again(), levels, 0.0, again)
            at = maybe.nonzero().T
            unsure.append(torch.cat([at.new_full((1, near), k), at]))
    return down, right, torch.cat(unsure, 1)


def settle(columns: Columns, levels: Tensor, counts: Tensor, k: Tensor, i: Tensor, j: Tensor) -> None:
    """Count the pairs of units (i, j) that reach level k in float64, all three int64 (p,)."""
    reached = (columns.correlations(i, j) >= levels[k]).long()
    for unit in (i, j):
        counts.index_put_((k, unit), reached, accumulate=True)


def tiles(columns: Columns, dtype: torch.dtype = torch.float32) -> Iterator[tuple[slice, slice, Tensor]]:
    """Absolute correlations of all pairs, each once: the units down a tile, those along it, and the tile.

    NaN stand where a unit is constant, and on the diagonal and left of it. The next tile may overwrite the one before.
    """
    buffer: Tensor | None = None
    for down, right in itertools.combinations_with_replacement(spans(len(columns.mean), TILE), 2):
        buffer = product(columns, down, right, dtype, buffer)
        yield down, right, buffer


def product(columns: Columns, down: slice, right: slice, dtype: torch.dtype, out: Tensor | None = None) -> Tensor:
    """Make one tile, as ``tiles`` does, in ``out`` if it fits."""
    shape = down.stop - down.start, right.stop - right.start
    if out is None or out.shape != shape:
        out = torch.empty(shape, dtype=dtype, device=columns.mean.device)
    out.zero_()
    for rows in spans(len(columns.x), ROWS):
        a = columns.block(rows, down, dtype)
        out.addmm_(a.T, a if down == right else columns.block(rows, right, dtype))
    if down == right:
        out.masked_fill_(torch.ones_like(out, dtype=torch.bool).tril_(), torch.nan)
    return out.abs_()


def margin(samples: int) -> float:
    """How far an entry of a float32 tile may be from the true correlation, at most.

    A sum of n products is within n units of rounding of the sum of their sizes, which is at most 1 here by Cauchy and Schwarz;
    blocks are added up one by one; the 8 covers the rounding of factors and levels.
    """
    return (min(samples, ROWS) + samples / ROWS + 8) * torch.finfo(torch.float32).eps / 2


@contextmanager
def full_precision() -> Iterator[None]:
    """Products of float32 matrices are those of float32, whatever the process prefers."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
