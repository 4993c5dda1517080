"""Data in the form training wants it: splits that hand out batches on the device.

A data set is a :class:`Data`: named splits over one input shape. Small sets are :class:`Images`, one uint8 (or float32)
tensor on the device, augmented there a batch at a time with an offset and a flip per sample. Large ones are
:class:`Files`, an image folder read by DataLoader workers. Both have ``len``, ``to`` and ``batches``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, Self

import attrs
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from widenet.errors import UsageError, WnError

Cut = tuple[int, int]
"""Which part of every batch, from 0, and of how many."""
PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
"""Processors this process may use: more workers would only slow each other down."""


def cuts(count: int, size: int, part: Cut) -> Iterator[slice]:
    """Where a part of each batch of ``size`` lies in a pass over ``count`` samples; the first parts may have one more."""
    number, parts = part
    for start in range(0, count, size):
        whole = min(size, count - start)
        yield slice(start - (-whole * number // parts), start - (-whole * (number + 1) // parts))


class Split(Protocol):
    """What training and analyses may ask of a split."""

    def __len__(self) -> int: ...

    def to(self, device: torch.device | str, workers: int | None = None) -> Self:
        """Return the split with its batches on ``device``; ``workers`` processes read it if it lies on disk."""

    def labels(self) -> Tensor:
        """Return the class of every sample, int64 (N,) on the CPU."""

    def part(self, chosen: Tensor) -> Self:
        """Return the split that has only the samples with these indices, int64 on the CPU."""

    def batches(
        self, size: int, generator: torch.Generator | None = None, part: Cut = (0, 1)
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(inputs, labels)`` for one pass over the split, the last partial batch included.

        Inputs are float32 ``(n, *shape)``, normalised, images in ``channels_last`` memory; labels are int64 ``(n,)``.
        With a generator the order is shuffled and the split's augmentation applied, both drawn from it alone and on its
        device, so that results do not depend on where the data lie; without one, samples come plain and in order.
        With ``part=(k, n)`` only the k-th (from 0) of n parts of each batch is read, as it is in the whole; where a batch has
        fewer than n samples, some of its parts are empty.
        """


@attrs.frozen(eq=False)
class Data:
    """A data set: its splits, the ``shape`` of one input (channels first for images) and its number of classes."""

    name: str
    train: Split
    test: Split
    shape: tuple[int, ...]
    classes: int
    val: Split | None = None
    class_names: tuple[str, ...] = ()

    def to(self, device: torch.device | str, workers: int | None = None) -> Data:
        """Return the data set with all of its splits on ``device``; ``workers`` processes read those that lie on disk."""
        val = None if self.val is None else self.val.to(device, workers)
        return attrs.evolve(self, train=self.train.to(device, workers), test=self.test.to(device, workers), val=val)

    def hold_out(self, fraction: float, generator: torch.Generator) -> Data:
        """Return the data set with this fraction of each class's training samples, at least one, as ``val`` instead.

        Raises:
            UsageError: it has a validation split of its own, a class with too few samples, or splits of a plugin's own
                that cannot be parted.
        """
        if self.val is not None:
            raise UsageError(f"{self.name} has a validation split of its own; leave --val out")
        if not (hasattr(self.train, "labels") and hasattr(self.train, "part")):
            raise UsageError(f"{self.name} has splits that cannot be parted, without labels or part; leave --val out")
        labels = self.train.labels()
        rank = torch.empty(len(labels), dtype=torch.int64)
        held = torch.zeros(len(labels), dtype=torch.bool)
        rank[torch.randperm(len(labels), generator=generator)] = torch.arange(len(labels))
        for label in labels.unique():
            members = (labels == label).nonzero().flatten()
            count = max(1, round(fraction * len(members)))
            if count == len(members):
                raise UsageError(f"--val {fraction} leaves class {int(label)} of {self.name} without training samples")
            held[members[rank[members].argsort()[:count]]] = True
        parts = [self.train.part(chosen.nonzero().flatten()) for chosen in (~held, held)]
        return attrs.evolve(self, train=parts[0], val=parts[1])


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last if x.ndim == 4 else torch.contiguous_format)


@attrs.frozen(eq=False)
class Images:
    """One split in memory: ``x`` uint8 ``(N, C, H, W)`` or float32 ``(N, ...)``, and ``y`` int64 ``(N,)``.

    uint8 is divided by 255. ``mean`` and ``std`` then normalise the channels of a 4-D ``x``; empty leaves them alone.
    When shuffled, each sample is cropped at its own offset out of its image with ``pad`` black pixels on every side,
    and mirrored with probability one half where ``flip``. Tensors that do not fit raise :class:`ValueError`.
    """

    x: Tensor = attrs.field(converter=_channels_last, repr=False)
    y: Tensor = attrs.field(repr=False)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    pad: int = 0
    flip: bool = False

    def __attrs_post_init__(self) -> None:
        x, y = self.x, self.y
        if (x.dtype, x.ndim) != (torch.uint8, 4) and (x.dtype != torch.float32 or x.ndim < 2):
            raise ValueError(f"x is {x.dtype} {tuple(x.shape)}; needs uint8 (N, C, H, W) or float32 (N, ...)")
        if y.dtype != torch.int64 or y.shape != x.shape[:1]:
            raise ValueError(f"y is {y.dtype} {tuple(y.shape)}; needs int64 ({len(x)},)")
        if (self.pad or self.flip or self.mean) and x.ndim != 4:
            raise ValueError(f"x is {tuple(x.shape)}; only (N, C, H, W) images can be normalised, cropped and flipped")
        if not len(self.std) == len(self.mean) in (0, x.shape[1]):
            raise ValueError(f"{len(self.mean)} means and {len(self.std)} deviations for {x.shape[1]} channels")

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device | str, workers: int | None = None) -> Images:
        """Return the split with its tensors on ``device``; no worker is needed."""
        return attrs.evolve(self, x=self.x.to(device), y=self.y.to(device))

    def labels(self) -> Tensor:
        """Return the class of every sample."""
        return self.y.cpu()

    def part(self, chosen: Tensor) -> Images:
        """Return the split that has only these samples."""
        index = chosen.to(self.x.device)
        return attrs.evolve(self, x=self.x.index_select(0, index), y=self.y.index_select(0, index))

    def batches(
        self, size: int, generator: torch.Generator | None = None, part: Cut = (0, 1)
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(inputs, labels)`` for one pass; see :meth:`Split.batches`."""
        order, crops = self._draw(generator)
        take = self._taker()
        for cut in cuts(len(self), size, part):
            yield take(order[cut], None if crops is None else crops[:, cut])

    def stacked(self, size: int, generators: Sequence[torch.Generator]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of several shuffled passes at once: inputs ``(K, n, *shape)``, labels ``(K, n)``.

        The k-th of each is what ``batches(size, generators[k])`` yields.
        """
        drawn = [self._draw(generator) for generator in generators]
        orders = torch.stack([order for order, _ in drawn])
        crops = None if drawn[0][1] is None else torch.stack([crop for _, crop in drawn if crop is not None], 1)
        take = self._taker()
        for cut in cuts(len(self), size, (0, 1)):
            chosen = orders[:, cut]
            x, y = take(chosen.flatten(), None if crops is None else crops[:, :, cut].flatten(1))
            yield x.unflatten(0, chosen.shape), y.unflatten(0, chosen.shape)

    def _taker(self) -> Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]:
        """What makes inputs and labels of samples' indices (n,), and of their crops (3, n) if any."""
        images = self.x.ndim == 4
        stored = self.x.movedim(1, -1) if images else self.x
        normalise = _normaliser(self.mean, self.std, self.x.dtype, self.x.device, pixels=self.x.shape[2:].numel())
        flat = stored.reshape(len(self), -1)

        def take(chosen: Tensor, crops: Tensor | None) -> tuple[Tensor, Tensor]:
            rows, shape = flat.index_select(0, chosen), (len(chosen), *stored.shape[1:])
            if crops is not None and len(chosen):
                top, left, mirrored = crops
                rows = crop_and_flip(rows.view(shape), top, left, mirrored.bool(), self.pad)
            inputs = normalise(rows.flatten(1)).view(shape)
            return inputs.movedim(-1, 1) if images else inputs, self.y.index_select(0, chosen)

        return take

    def _draw(self, generator: torch.Generator | None) -> tuple[Tensor, Tensor | None]:
        """Return the order (N,) of a pass, and its offsets from the top, from the left and flips (3, N), if any."""
        n, device = len(self), self.x.device
        if generator is None:
            return torch.arange(n, device=device), None
        order = torch.randperm(n, generator=generator, device=generator.device)
        if not (self.pad or self.flip):
            return order.to(device), None
        offsets = torch.randint(2 * self.pad + 1, (2, n), generator=generator, device=generator.device)
        mirrored = torch.randint(1 + self.flip, (1, n), generator=generator, device=generator.device)
        return order.to(device), torch.cat([offsets, mirrored]).to(device)


def crop_and_flip(images: Tensor, top: Tensor, left: Tensor, mirrored: Tensor, pad: int) -> Tensor:
    """Crop each of ``images`` (n, H, W, C) out of itself with ``pad`` zeros around it; then mirror some.

    ``top`` and ``left`` (n,) are offsets from 0 to ``2 * pad``, ``mirrored`` (n,) is bool.
    """
    n, height, width, channels = images.shape
    padded = F.pad(images, (0, 0, pad, pad, pad, pad)).flatten(0, 1).flatten(1)
    samples, down, across, colours = (torch.arange(k, device=images.device) for k in images.shape)
    first = samples * (height + 2 * pad) + top
    # rows before columns: a row is one copy of memory, and one gather over all pixels takes a third longer
    rows = padded.index_select(0, (first[:, None] + down).flatten()).view(n, height, -1)
    columns = left[:, None] + torch.where(mirrored[:, None], width - 1 - across, across)
    values = (columns[:, :, None] * channels + colours).view(n, 1, -1)
    return rows.gather(2, values.expand(-1, height, -1)).view(images.shape)


def _normaliser(
    mean: tuple[float, ...], std: tuple[float, ...], dtype: torch.dtype, device: torch.device, pixels: int = 1
) -> Callable[[Tensor], Tensor]:
    """Return the function that normalises tensors whose last axis is ``pixels`` x channels, float32 in place."""
    unit = 255.0 if dtype == torch.uint8 else 1.0
    if not mean and unit == 1:
        return lambda values: values
    shift = torch.tensor([unit * m for m in mean] or [0.0], device=device)
    scale = torch.tensor([1 / (unit * s) for s in std] or [1 / unit], device=device)
    if len(shift) > 1:  # written out for every pixel: broadcasting over an axis of three is slow
        shift, scale = shift.repeat(pixels), scale.repeat(pixels)
    return lambda values: values.float().sub_(shift).mul_(scale)


def channel_statistics(x: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation of each channel of ``x`` (N, C, H, W), summed in float64.

    Of uint8 they are in units of 255, as :class:`Images` takes them. A constant channel gets deviation 1.
    """
    unit = 255.0 if x.dtype == torch.uint8 else 1.0
    count = x.numel() // x.shape[1]
    parts = x.split(1024)  # a copy of everything in float64 may not fit
    mean = torch.stack([part.double().sum((0, 2, 3)) for part in parts]).sum(0) / count
    squares = [(part.double() - mean[:, None, None]).square().sum((0, 2, 3)) for part in parts]
    std = (torch.stack(squares).sum(0) / count).sqrt()
    std[std <= 1e-9 * mean.abs()] = unit
    return tuple((mean / unit).tolist()), tuple((std / unit).tolist())


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
        normalise = _normaliser(self.mean, self.std, torch.uint8, self.device)
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
