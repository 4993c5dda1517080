"""Reading image files, and keeping small ones in memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from widenet.errors import UsageError, WnError


def read_image(path: str) -> Image.Image:
    """Return the image at ``path`` as RGB. One that cannot be decoded raises :class:`WnError`."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise WnError(f"cannot read the image {path} ({error}); replace or remove it") from error


def decode(samples: Sequence[tuple[str, int]], width: int, height: int, fit: bool, threads: int) -> tuple[Tensor, Tensor]:
    """Return the images uint8 (N, 3, ``height``, ``width``) and the labels int64 (N,) of ``(path, label)`` pairs.

    With ``fit`` an image of another size is scaled until it covers this one, and its middle cut out; without, it raises
    :class:`UsageError`.
    """
    pixels = np.empty((len(samples), height, width, 3), np.uint8)

    def fill(index: int) -> None:
        path = samples[index][0]
        image = read_image(path)
        if fit:
            image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
        elif image.size != (width, height):
            found = f"{image.width} x {image.height} pixels, the first {width} x {height}"
            raise UsageError(f"the image {path} has {found}; give size=N to bring all to N x N")
        pixels[index] = np.asarray(image)

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(fill, range(len(samples))):  # the loop brings up errors
            pass
    return torch.from_numpy(pixels).movedim(-1, 1), torch.tensor([label for _, label in samples])
