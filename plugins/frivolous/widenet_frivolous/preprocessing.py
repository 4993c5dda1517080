"""The study's operators on images, a batch at a time, each image by itself; all take and give float32 (n, C, H, W)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def crop(x: Tensor, top: Tensor, left: Tensor, side: int) -> Tensor:
    """Cut a square of ``side`` pixels out of each image, at the row ``top`` (n,) and the column ``left`` (n,), int64."""
    n, channels, _, width = x.shape
    offset = torch.arange(side, device=x.device)
    rows, columns = top[:, None] + offset, left[:, None] + offset
    places = (rows[:, :, None] * width + columns[:, None]).flatten(1)
    taken = x.flatten(2).gather(2, places[:, None].expand(-1, channels, -1))
    return taken.view(n, channels, side, side)


def standardise(x: Tensor) -> Tensor:
    """``(x - mean) / max(std, 1 / sqrt(C H W))`` of each image, over all of its values (TensorFlow)."""
    flat = x.flatten(1)
    centred = flat - flat.mean(1, keepdim=True)
    std = centred.square().mean(1, keepdim=True).sqrt()
    return (centred / std.clamp(min=1 / math.sqrt(flat.shape[1]))).view(x.shape)


def resize(x: Tensor, side: int) -> Tensor:
    """Enlarge bilinearly to ``side`` x ``side``; pixel i is read at ``i * old / side``, TensorFlow's old way.

    PyTorch's ``interpolate`` would read it half a pixel further on, which differs by up to a third of the standardised range.
    """
    return _resize_last(_resize_last(x, side).mT, side).mT


def _resize_last(x: Tensor, side: int) -> Tensor:
    """Resize the last axis."""
    place = torch.arange(side, device=x.device, dtype=x.dtype) * (x.shape[-1] / side)
    low = place.long()
    high = (low + 1).clamp(max=x.shape[-1] - 1)
    return torch.lerp(x.index_select(-1, low), x.index_select(-1, high), place - low)


def brighten(x: Tensor, amount: Tensor) -> Tensor:
    """Add ``amount`` (n,) to every value of an image; nothing is clipped."""
    return x + amount[:, None, None, None]


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Move each channel's values ``factor`` (n,) times as far from its mean; nothing is clipped."""
    mean = x.mean((2, 3), keepdim=True)
    return (x - mean) * factor[:, None, None, None] + mean
