"""Large images in a folder, read by worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from widenet.data.images import normaliser
from widenet.data.splits import PROCESSORS, Cut, cuts
from widenet.errors import WnError


@attrs.frozen(eq=False)
class Files:
    """One split of a folder of large images, read by worker processes.

    ``images[i]`` is a PIL image and its label, ``images.targets`` has all labels, as of torchvision's ``ImageFolder``; an image
    that cannot be read raises :class:`WnError`.
    ``plain``, or ``augment`` when shuffled, gives the image its final size. ``augment`` may draw from torch's global
    generator, seeded for each sample and then put back: the number of workers changes nothing. ``mean`` and ``std`` are
    per channel in units of pixel / 255.
    """

    images: Any = attrs.field(repr=False)
    plain: Callable[[Any], Any]
    augment: Callable[[Any], Any] | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    workers: int = 4
    device: torch.device = attrs.field(default=torch.device("cpu"), converter=torch.device)

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str, workers: int | None = None) -> Files:
        """Return the split with its batches on ``device``, read by so many processes (as before if None)."""
        return attrs.evolve(self, device=device, workers=self.workers if workers is None else workers)

    def labels(self) -> Tensor:
        """Return the class of every sample."""
        return torch.tensor(self.images.targets)

    def part(self, chosen: Tensor) -> Files:
        """Return the split that has only these samples."""
        return attrs.evolve(self, images=_Part(self.images, chosen.tolist()))

    def batches(
        self, size: int, generator: torch.Generator | None = None, part: Cut = (0, 1)
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(inputs, labels)`` for one pass; see :meth:`Split.batches`."""
        normalise = normaliser(self.mean, self.std, torch.uint8, self.device)
        draws = self._draw(generator)
        loader = DataLoader(
            _Samples(self.images, (generator and self.augment) or self.plain),
            batch_sampler=[draws[cut] for cut in cuts(len(self), size, part)],
            num_workers=min(self.workers, PROCESSORS),
            collate_fn=_collate,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # without it each pass would advance torch's global generator
        )
        for batch in loader:
            if isinstance(batch, WnError):
                raise batch
            pixels, labels = (part.to(self.device, non_blocking=True) for part in batch)
            yield normalise(pixels).movedim(-1, 1), labels

    def _draw(self, generator: torch.Generator | None) -> list[tuple[int, int]]:
        """Return the index and the seed of each sample of a pass."""
        if generator is None:
            return [(index, 0) for index in range(len(self))]
        order = torch.randperm(len(self), generator=generator, device=generator.device)
        seeds = torch.randint(2**31, (len(self),), generator=generator, device=generator.device)
        return list(zip(order.tolist(), seeds.tolist(), strict=True))


@attrs.frozen(eq=False)
class _Part(Dataset):
    """Some of the images."""

    images: Any
    chosen: list[int]

    @property
    def targets(self) -> list[int]:
        return [self.images.targets[index] for index in self.chosen]

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> Any:
        return self.images[self.chosen[index]]


@attrs.frozen(eq=False)
class _Samples(Dataset):
    """The samples by ``(index, seed)``: pixels uint8 (H, W, C) and label, or the :class:`WnError` met on the way.

    An error is handed over as a value: DataLoader would wrap one raised in a worker in a page of traceback.
    """

    images: Any
    transform: Callable[[Any], Any]

    def __getitem__(self, key: tuple[int, int]) -> tuple[np.ndarray, int] | WnError:
        index, seed = key
        try:
            image, label = self.images[index]
        except WnError as error:
            return error
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return np.atleast_3d(np.asarray(self.transform(image))), label


def _collate(samples: list[Any]) -> tuple[Tensor, Tensor] | WnError:
    if failed := [sample for sample in samples if isinstance(sample, WnError)]:
        return failed[0]
    if not samples:  # an empty part; no image was read that would say the shape
        return torch.empty(0, 0, 0, 3, dtype=torch.uint8), torch.empty(0, dtype=torch.int64)
    images, labels = zip(*samples, strict=True)
    return torch.from_numpy(np.stack(images)), torch.tensor(labels)
