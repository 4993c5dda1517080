"""Made-up images: quick to make, learnable, and the same on every machine."""

from __future__ import annotations

import numpy as np
import torch

from widenet.data import Data, Images, channel_statistics


def load(size: int, channels: int, classes: int, train: int, test: int) -> Data:
    """Return ``train`` and ``test`` images, classes in turn: each half its class's 4 x 4 pattern and half noise."""
    cell = np.arange(size) * 4 // size
    pattern = _bytes(0, classes, channels, 4, 4)[:, :, cell][..., cell] // 2

    def images(stream: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        y = np.arange(count) % classes
        x = pattern[y] + _bytes(stream, count, channels, size, size) // 2
        return torch.from_numpy(x), torch.from_numpy(y)

    x, y = images(1, train)
    mean, std = channel_statistics(x)
    return Data("tiny", Images(x, y, mean, std), Images(*images(2, test), mean, std), (channels, size, size), classes)


def _bytes(stream: int, *shape: int) -> np.ndarray:
    """Return random uint8 from a generator's raw output: NumPy promises to keep that, unlike its distributions."""
    count = int(np.prod(shape))
    words = np.random.PCG64(stream).random_raw(-(-count // 8)).astype("<u8")
    return words.view(np.uint8)[:count].reshape(shape)
