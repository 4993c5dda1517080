"""Which neurons the chunks are of: random ones, from streams of their own for each use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

SPLITS = ("test", "train")
Chosen = Mapping[int, Sequence[Tensor]]
"""By size, the neurons of each chunk."""


def drawn(width: int, sizes: Sequence[int], repeats: int, generator: torch.Generator) -> dict[int, list[Tensor]]:
    """Random chunks without replacement, int64 (c,), so many of each size; the whole layer is there once."""
    return {
        size: [torch.randperm(width, generator=generator)[:size] for _ in range(repeats if size < width else 1)]
        for size in sizes
    }


def permuted(width: int, repeats: int, generator: torch.Generator) -> list[Tensor]:
    """Random permutations of all neurons, int64 (P,)."""
    return [torch.randperm(width, generator=generator) for _ in range(repeats)]


def random_chunks(run: Any, width: int, sizes: Sequence[int], config: Any) -> tuple[dict[str, Chosen], Chosen]:
    """The random chunks of a study: other ones for the errors of each split and for R2, as published."""
    of = {split: run.generator("chunks", config.chunk_seed, split) for split in SPLITS}
    for_errors: dict[str, Chosen] = {split: drawn(width, sizes, config.error_repeats, of[split]) for split in SPLITS}
    return for_errors, drawn(width, sizes, config.r2_repeats, run.generator("chunks", config.chunk_seed, "r2"))


def random_orders(run: Any, width: int, config: Any) -> tuple[dict[str, list[Tensor]], list[Tensor]]:
    """The random permutations of a study of every size."""
    of = {split: run.generator("chunks", config.chunk_seed, split) for split in SPLITS}
    for_errors = {split: permuted(width, config.error_repeats, of[split]) for split in SPLITS}
    return for_errors, permuted(width, config.r2_repeats, run.generator("chunks", config.chunk_seed, "r2"))
