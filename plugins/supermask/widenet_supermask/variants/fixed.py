"""Masks that stand from the start, for weights to be trained under."""

from __future__ import annotations

import torch
from torch import Tensor


def random_mask(shape: torch.Size, kept: int, generator: torch.Generator) -> Tensor:
    """A bool mask on the CPU with exactly ``kept`` entries at random places."""
    return (torch.randperm(shape.numel(), generator=generator) < kept).reshape(shape)
