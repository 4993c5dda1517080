"""The sizes of the chunks that an analysis draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from widenet.errors import UsageError


def octaves(width: int) -> list[int]:
    """The published grid: width // 2^i for i = 0 ... floor(log2 width), ascending; the width is at least 1."""
    return sorted(width >> i for i in range(width.bit_length()))


def chosen(width: int, sizes: Literal["octaves", "all"] | Sequence[int]) -> list[int]:
    """The chunk sizes asked for in a layer of that width, ascending and each once.

    Args:
        width: neurons of the layer, at least 1.
        sizes: "octaves", "all" for every size from 1 to the width, or the sizes themselves.

    Raises:
        UsageError: no size is given, or one is below 1 or above the width.
    """
    if sizes == "octaves":
        return octaves(width)
    if sizes == "all":
        return list(range(1, width + 1))
    if not sizes:
        raise UsageError("no chunk size is given; give at least one, octaves or all")
    for size in sizes:
        if not 1 <= size <= width:
            raise UsageError(f"no chunk of {size} neurons fits a layer of width {width}; give sizes from 1 to {width}")
    return sorted(set(sizes))
