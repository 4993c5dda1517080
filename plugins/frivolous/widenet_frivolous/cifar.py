"""CIFAR-10 as the study's networks saw it: cropped, changed and standardised image by image, on the device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import attrs
import torch
from torch import Tensor

from widenet.data import Cut, Data, Images, crop_and_flip, cuts
from widenet.errors import UsageError
from widenet_frivolous.preprocessing import brighten, contrast, crop, resize, standardise

if TYPE_CHECKING:
    from widenet_frivolous.datasets import StudyCifar

CROP, SIDE, PAD = 28, 32, 4
BRIGHTNESS, CONTRAST = 63.0, (0.2, 1.8)
"""By how much values from 0 to 255 are changed at most, and the least and largest factor."""


@attrs.frozen(eq=False)
class Prepared:
    """Images that are prepared whenever they are read: a :class:`~widenet.data.Split`.

    ``images`` are uint8 (N, 3, H, W), square. ``alexnet`` crops them to 28 pixels, at random and changed where ``augment`` and
    shuffled, else in the middle, standardises and enlarges to 32; ``resnet`` standardises, after a crop out of a black border
    of 4 pixels and a mirror where ``augment`` and shuffled.
    """

    images: Images
    recipe: Literal["alexnet", "resnet"] = "alexnet"
    augment: bool = False

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str, workers: int | None = None) -> Prepared:
        """Return the split with its tensors on ``device``; no worker is needed."""
        return attrs.evolve(self, images=self.images.to(device))

    def labels(self) -> Tensor:
        """Return the class of every sample."""
        return self.images.labels()

    def part(self, chosen: Tensor) -> Prepared:
        """Return the split that has only these samples."""
        return attrs.evolve(self, images=self.images.part(chosen))

    def relabelled(self, labels: Tensor) -> Prepared:
        """Return the split with other ``labels``, int64 (N,) on the CPU."""
        return attrs.evolve(self, images=attrs.evolve(self.images, y=labels.to(self.images.y.device)))

    def batches(
        self, size: int, generator: torch.Generator | None = None, part: Cut = (0, 1)
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(inputs, labels)`` for one pass; see :meth:`widenet.data.Split.batches`."""
        pixels, labels = self.images.x, self.images.y
        order = torch.arange(len(self))
        if generator is not None:
            order = torch.randperm(len(self), generator=generator, device=generator.device)
        order = order.to(pixels.device)
        drawn = self._draw(generator) if generator is not None and self.augment else None
        for cut in cuts(len(self), size, part):
            chosen = order[cut]
            x = self._prepared(pixels.index_select(0, chosen), None if drawn is None else drawn[:, cut])
            yield x.contiguous(memory_format=torch.channels_last), labels.index_select(0, chosen)

    def _draw(self, generator: torch.Generator) -> Tensor:
        """Numbers from 0 to 1 (5, N): row and column of the crop, mirror, brightness and contrast of each sample."""
        return torch.rand(5, len(self), generator=generator, device=generator.device).to(self.images.x.device)

    def _prepared(self, pixels: Tensor, drawn: Tensor | None) -> Tensor:
        if self.recipe == "resnet":
            return standardise(_shifted(pixels, drawn) if drawn is not None else pixels.float())
        x = pixels.float()
        if drawn is None:
            middle = torch.full((len(x),), (x.shape[-1] - CROP) // 2, device=x.device)
            return resize(standardise(crop(x, middle, middle, CROP)), SIDE)
        return resize(standardise(_changed(x, drawn)), SIDE)


def _changed(x: Tensor, drawn: Tensor) -> Tensor:
    """Crop to 28 pixels at random, mirror half, change brightness and contrast."""
    places = x.shape[-1] - CROP + 1
    top, left = (drawn[:2] * places).long().clamp(max=places - 1)
    x = crop(x, top, left, CROP)
    x = torch.where((drawn[2] < 0.5)[:, None, None, None], x.flip(3), x)
    x = brighten(x, (2 * drawn[3] - 1) * BRIGHTNESS)
    low, high = CONTRAST
    return contrast(x, low + (high - low) * drawn[4])


def _shifted(pixels: Tensor, drawn: Tensor) -> Tensor:
    """Crop out of a black border of 4 pixels, and mirror half."""
    top, left = (drawn[:2] * (2 * PAD + 1)).long().clamp(max=2 * PAD)
    cut = crop_and_flip(pixels.movedim(1, -1), top, left, drawn[2] < 0.5, PAD)
    return cut.movedim(-1, 1).float()


def load(root: Path, config: StudyCifar) -> Data:
    """Return CIFAR-10, or the images of a file, prepared as the ``recipe`` says.

    Training and test images are those of the data set, each once: the original's files held training images up to five times,
    and its validation images were training images.

    Raises:
        UsageError: the file holds no square uint8 colour images of at least 28 pixels.
        WnError: CIFAR-10 is neither under ``root`` nor to be had.
    """
    data = _images(root, config.path)
    train, test = data.train, data.test
    assert isinstance(train, Images) and isinstance(test, Images)
    side = train.x.shape[-1]
    if train.x.dtype != torch.uint8 or train.x.shape[1:3] != (3, side) or side < CROP:
        raise UsageError(
            f"{config.path} holds {train.x.dtype} inputs of shape {tuple(train.x.shape[1:])}; frivolous-cifar takes square "
            f"uint8 colour images of at least {CROP}x{CROP} pixels: use --dataset npz for others"
        )
    splits = [
        Prepared(Images(part.x, part.y), config.recipe, augment) for part, augment in ((train, config.augment), (test, False))
    ]
    side = SIDE if config.recipe == "alexnet" else side
    return Data("frivolous-cifar", splits[0], splits[1], (3, side, side), data.classes, class_names=data.class_names)


def _images(root: Path, path: Path | None) -> Data:
    if path is None:
        from widenet.builtin.datasets.downloads import cifar

        return cifar("cifar10", root, augment=False)
    from widenet.builtin.datasets.arrays import load as read

    return read(path, augment=False)
