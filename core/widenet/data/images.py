"""Images and vectors in memory, augmented a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor

from widenet.data.splits import Cut, cuts


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last if x.ndim == 4 else torch.contiguous_format)


@attrs.frozen(eq=False)
class Images:
    """One split in memory: ``x`` uint8 ``(N, C, H, W)`` or float32 ``(N, ...)``, and ``y`` int64 ``(N,)``.

    uint8 is divided by 255. ``mean`` and ``std`` then normalise the channels of a 4-D ``x``; empty leaves them alone.
    When shuffled, each sample is cropped at its own offset out of its image with ``pad`` pixels on every side, black or the
    image's own mirrored at its ``border``, and mirrored with probability one half where ``flip``. Tensors that do not fit
    raise :class:`ValueError`.
    """

    x: Tensor = attrs.field(converter=_channels_last, repr=False)
    y: Tensor = attrs.field(repr=False)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    pad: int = 0
    flip: bool = False
    border: Literal["black", "reflect"] = "black"

    def __attrs_post_init__(self) -> None:
        x, y = self.x, self.y
        if (x.dtype, x.ndim) != (torch.uint8, 4) and (x.dtype != torch.float32 or x.ndim < 2):
            raise ValueError(f"x is {x.dtype} {tuple(x.shape)}; needs uint8 (N, C, H, W) or float32 (N, ...)")
        if y.dtype != torch.int64 or y.shape != x.shape[:1]:
            raise ValueError(f"y is {y.dtype} {tuple(y.shape)}; needs int64 ({len(x)},)")
        if (self.pad or self.flip or self.mean) and x.ndim != 4:
            raise ValueError(f"x is {tuple(x.shape)}; only (N, C, H, W) images can be normalised, cropped and flipped")
        if self.border == "reflect" and self.pad >= min(x.shape[2:], default=0):
            raise ValueError(f"x is {tuple(x.shape)}; too small to be mirrored over {self.pad} pixels")
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
        normalise = normaliser(self.mean, self.std, self.x.dtype, self.x.device, pixels=self.x.shape[2:].numel())
        flat = stored.reshape(len(self), -1)

        def take(chosen: Tensor, crops: Tensor | None) -> tuple[Tensor, Tensor]:
            rows, shape = flat.index_select(0, chosen), (len(chosen), *stored.shape[1:])
            if crops is not None and len(chosen):
                top, left, mirrored = crops
                rows = crop_and_flip(rows.view(shape), top, left, mirrored.bool(), self.pad, self.border)
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


def crop_and_flip(
    images: Tensor, top: Tensor, left: Tensor, mirrored: Tensor, pad: int, border: Literal["black", "reflect"] = "black"
) -> Tensor:
    """Crop each of ``images`` (n, H, W, C) out of itself with ``pad`` pixels around it; then mirror some.

    The pixels around it are zeros, or those inside its ``border`` mirrored, the outermost not repeated. ``top`` and ``left``
    (n,) are offsets from 0 to ``2 * pad``, ``mirrored`` (n,) is bool.
    """
    n, height, width, channels = images.shape
    around = F.pad(images, (0, 0, pad, pad, pad, pad)) if border == "black" else _reflected(images, pad)
    padded = around.flatten(0, 1).flatten(1)
    samples, down, across, colours = (torch.arange(k, device=images.device) for k in images.shape)
    first = samples * (height + 2 * pad) + top
    # rows before columns: a row is one copy of memory, and one gather over all pixels takes a third longer
    rows = padded.index_select(0, (first[:, None] + down).flatten()).view(n, height, -1)
    columns = left[:, None] + torch.where(mirrored[:, None], width - 1 - across, across)
    values = (columns[:, :, None] * channels + colours).view(n, 1, -1)
    return rows.gather(2, values.expand(-1, height, -1)).view(images.shape)


def _reflected(images: Tensor, pad: int) -> Tensor:
    """``images`` (n, H, W, C) with ``pad`` pixels mirrored at each side; torch's own does not take uint8."""
    for axis in (1, 2):
        last = images.shape[axis] - 1
        place = torch.arange(-pad, last + pad + 1, device=images.device).abs()
        images = images.index_select(axis, last - (last - place).abs())
    return images


def normaliser(
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
