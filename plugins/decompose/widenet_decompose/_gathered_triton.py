"""The class-gathered product on a GPU: a program a tile of samples x classes, which walks through the classes' units.

Samples lie next to each other in memory (the features are transposed first), so a unit's values are read in whole lines.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS = 64
"""Samples of a tile: 256 bytes of a unit's values, two lines of the cache."""
CLASSES = 16
"""Classes of a tile: with 64 samples 1,024 sums, 8 a thread."""
OPTIONS = {"num_warps": 4}


@triton.jit
def add_products(x, indices, weights, bias, out, n, classes, k, rows: tl.constexpr, columns: tl.constexpr):
    """Store a tile of ``out`` (n, classes); ``x`` is (F, n), ``indices`` and ``weights`` are (k, classes)."""
    r = tl.program_id(0) * rows + tl.arange(0, rows)
    c = tl.program_id(1) * columns + tl.arange(0, columns)
    inside = (c < classes)[:, None] & (r < n)[None, :]
    sums = tl.zeros([columns, rows], tl.float32) + tl.load(bias + c, mask=c < classes, other=0)[:, None]
    for _ in range(k):
        unit = tl.load(indices + c, mask=c < classes, other=0).to(tl.int64)
        weight = tl.load(weights + c, mask=c < classes, other=0)
        sums += weight[:, None] * tl.load(x + unit[:, None] * n + r[None, :], mask=inside, other=0)
        indices += classes
        weights += classes
    tl.store(out + r.to(tl.int64)[None, :] * classes + c[:, None], sums, mask=inside)


def gathered_triton(x: Tensor, indices: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """Do what ``gathered_torch`` does, in float32 whatever the dtypes; CPU tensors work in Triton's interpreter.

    Args:
        x: (N, F), any strides.
        indices: integers (C, k) in 0 .. F - 1; the transpose of a contiguous (k, C) is not copied.
        weights: (C, k), likewise.
        bias: (C,).

    Returns:
        float32 (N, C).
    """
    classes, k = indices.shape
    out = torch.empty(len(x), classes, dtype=torch.float32, device=x.device)
    if out.numel():
        columns = (
            x.float().T.contiguous(),
            indices.int().T.contiguous(),
            weights.float().T.contiguous(),
            bias.float().contiguous(),
        )
        grid = triton.cdiv(len(x), ROWS), triton.cdiv(classes, CLASSES)
        with torch.cuda.device_of(x):
            add_products[grid](*columns, out, len(x), classes, k, rows=ROWS, columns=CLASSES, **OPTIONS)
    return out
