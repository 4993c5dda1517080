"""CIFAR under random operations, as the study's older training had them (after RandAugment, Cubuk et al. 2020)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

from widenet.builtin.datasets.downloads import cifar
from widenet.data import Cut, Data, Images

if TYPE_CHECKING:
    from widenet_redundant_repr.options import RandAugment

Operation = Callable[[Tensor, float], Tensor]

GREY = 128
"""What fills the part of an image that lay outside it."""
CHANCE = 0.5
"""Probability that an operation that was drawn is applied."""
CUTOUT = 8
"""Side of the square that cutout fills, in pixels."""
SUPERCLASSES = (
    *(4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1, 10),
    *(12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17, 10, 3, 2, 12, 12, 16, 12),
    *(1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13),
)
"""Superclass of each of CIFAR-100's classes, both in alphabetical order."""


def _factor(strength: float) -> float:
    return 0.1 + 1.8 * strength


COLOURS: tuple[Operation, ...] = (
    lambda x, strength: TF.autocontrast(x),
    lambda x, strength: TF.equalize(x),
    lambda x, strength: TF.invert(x),
    lambda x, strength: TF.posterize(x, max(1, int(4 * strength))),
    lambda x, strength: torch.where(x < 256 * strength, x, 255 - x),
    lambda x, strength: torch.where(x < GREY, x + int(110 * strength), x),
    lambda x, strength: TF.adjust_saturation(x, _factor(strength)),
    lambda x, strength: TF.adjust_contrast(x, _factor(strength)),
    lambda x, strength: TF.adjust_brightness(x, _factor(strength)),
    lambda x, strength: TF.adjust_sharpness(x, _factor(strength)),
)
"""Operations on uint8 (n, 3, S, S) of a strength from 0 to 1; the fourth to sixth are posterize, solarize and solarize-add."""
MOVES = (
    ((0.0, 0.3, 0.3), (0.0, 0.0, 0.0)),
    ((0.0, 0.0, 0.0), (0.3, 0.0, 0.3)),
    ((0.0, 0.0, 0.9), (0.0, 0.0, 0.0)),
    ((0.0, 0.0, 0.0), (0.0, 0.0, 0.9)),
)
"""What full strength adds to the identity: shear along x, along y, translation along x, along y by 45 per cent of the side."""
ROTATE, CUT = len(COLOURS) + len(MOVES), len(COLOURS) + len(MOVES) + 1
OPERATIONS = CUT + 1


def matrices(kind: int, amount: Tensor) -> Tensor:
    """Places (n, 2, 3) for :func:`warp` of a geometric operation at strengths ``amount`` (n,) from -1 to 1 (30 degrees)."""
    if kind == ROTATE:
        angle, zero = amount * math.radians(30), torch.zeros_like(amount)
        return torch.stack([angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero], 1).view(-1, 2, 3)
    return torch.eye(2, 3, device=amount.device) + amount[:, None, None] * torch.tensor(MOVES[kind - len(COLOURS)]).to(amount)


def warp(x: Tensor, places: Tensor, mode: str) -> Tensor:
    """Square images uint8 (n, C, S, S), read where ``places`` (n, 2, 3) map each pixel's position to; grey outside.

    Positions are (x, y) from -1 to 1 between an image's outer edges; ``mode`` is ``bilinear`` or ``bicubic``.
    """
    grid = F.affine_grid(places, list(x.shape), align_corners=False)
    moved = F.grid_sample(x.float() - GREY, grid, mode, "zeros", align_corners=False)
    return (moved + GREY).round().clamp(0, 255).to(torch.uint8)


def cutout(x: Tensor, middle: Tensor) -> Tensor:
    """Square images uint8 (n, C, S, S) with a grey square about ``middle`` (n, 2), row and column as fractions of S."""
    first = (middle * x.shape[-1]).long()[:, :, None] - CUTOUT // 2
    offset = torch.arange(x.shape[-1], device=x.device) - first
    rows, columns = ((offset >= 0) & (offset < CUTOUT)).unbind(1)
    return torch.where((rows[:, :, None] & columns[:, None])[:, None], GREY, x)


def augment(x: Tensor, ops: int, magnitude: float, generator: torch.Generator) -> Tensor:
    """Images uint8 (N, 3, S, S) after operations drawn for each without replacement, each applied with probability one half.

    Args:
        x: the images; left as they are.
        ops: how many of the 16 operations are drawn for an image.
        magnitude: ten times the operations' strength; those that have a direction take either.
        generator: where all draws come from, on any device.
    """
    count, made, strength = len(x), x.clone(), magnitude / 10

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=generator.device).to(x.device)

    drawn = uniform(count, OPERATIONS).argsort(1)[:, :ops]
    for step in range(ops):
        applied, sign, cubic = uniform(3, count) < CHANCE
        middles = uniform(count, 2)
        for kind in range(OPERATIONS):
            chosen = ((drawn[:, step] == kind) & applied).nonzero().flatten()
            if not len(chosen):
                continue
            if kind < len(COLOURS):
                made[chosen] = COLOURS[kind](made[chosen], strength)
            elif kind == CUT:
                made[chosen] = cutout(made[chosen], middles[chosen])
            else:
                places = matrices(kind, torch.where(sign[chosen], strength, -strength))
                smooth, sharp = (warp(made[chosen], places, mode) for mode in ("bilinear", "bicubic"))
                made[chosen] = torch.where(cubic[chosen, None, None, None], sharp, smooth)
    return made


@attrs.frozen(eq=False)
class Augmented:
    """Images under random operations, before their own cropping and mirroring, whenever they are shuffled.

    A :class:`~widenet.data.Split`: each shuffled pass makes its own copy of all ``images``, drawn from the pass's generator.
    """

    images: Images
    ops: int
    magnitude: float

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str, workers: int | None = None) -> Augmented:
        """Return the split with its tensors on ``device``; no worker is needed."""
        return attrs.evolve(self, images=self.images.to(device))

    def labels(self) -> Tensor:
        """Return the class of every sample."""
        return self.images.labels()

    def part(self, chosen: Tensor) -> Augmented:
        """Return the split that has only these samples."""
        return attrs.evolve(self, images=self.images.part(chosen))

    def batches(
        self, size: int, generator: torch.Generator | None = None, part: Cut = (0, 1)
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(inputs, labels)`` for one pass; see :meth:`widenet.data.Split.batches`."""
        images = self.images
        if generator is not None and self.ops:
            images = attrs.evolve(images, x=augment(images.x, self.ops, self.magnitude, generator))
        return images.batches(size, generator, part)


def load(root: Path, config: RandAugment) -> Data:
    """Return CIFAR, cropped out of a reflecting border, mirrored and augmented in training, with superclasses if asked for.

    Raises:
        WnError: it is neither under ``root`` nor to be had.
    """
    data = cifar(config.name, root, augment=True, border="reflect")
    train, test = data.train, data.test
    assert isinstance(train, Images) and isinstance(test, Images)
    if config.superclasses:
        table = torch.tensor(SUPERCLASSES)
        train, test = (attrs.evolve(split, y=table[split.y]) for split in (train, test))
        data = attrs.evolve(data, classes=20, class_names=())
    return attrs.evolve(data, name="cifar-randaugment", train=Augmented(train, config.ops, config.magnitude), test=test)
