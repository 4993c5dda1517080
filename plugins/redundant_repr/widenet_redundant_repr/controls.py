"""Representations without redundancy, which the measures of a trained layer are held against."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from widenet.data import Images


def shuffled(features: Tensor, generator: torch.Generator) -> Tensor:
    """Features (N, P) with the samples of each column in an order of its own: each keeps its values, and tells of no other."""
    orders = (torch.randperm(len(features), generator=generator, device=generator.device) for _ in features.T)
    columns = zip(features.T, orders, strict=True)
    return torch.stack([column[order.to(column.device)] for column, order in columns], 1)


def noise(count: int, width: int, generator: torch.Generator) -> Tensor:
    """Independent standard normal features, float32 (count, width): the floor that sampling alone sets to each measure."""
    return torch.randn(count, width, generator=generator, device=generator.device)


def noise_like(split: Images, shape: Sequence[int], generator: torch.Generator) -> Images:
    """As many inputs of this shape as ``split`` has, all independent standard normal numbers, with its labels."""
    labels = split.labels()
    values = noise(len(labels), torch.Size(shape).numel(), generator).view(len(labels), *shape)
    return Images(values, labels)
