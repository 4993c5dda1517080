"""Capturing: the outputs of layers, streamed to HDF5 in the run's folder, resumable and never stale."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from widenet.capture.kept import FOLDER, ROWS, Captured, find
from widenet.capture.parts import join, lay_out, new, write
from widenet.capture.stream import Batch, stream
from widenet.capture.wanted import Wanted, key, short
from widenet.errors import WnError
from widenet.files import writable
from widenet.runs import Run, writing

PART = 2**28
"""Bytes after which a capture goes on in another file: what a kill costs at most."""
SPARE = 2**26
"""Bytes that a disk must have left besides."""


def capture(run: Run, net: nn.Module, data: Any, wanted: Wanted, batch_size: int = 256) -> Captured:
    """The outputs wanted, found in the run's folder or captured now; a capture cut short goes on where it was.

    What is held in memory at a time is one batch, and the samples of one chunk of HDF5 (1,024) beside it.

    Args:
        run: its folder receives ``activations/<split>-<key>.h5``.
        net: the run's network; the key holds its weights, so another network's outputs are never mistaken for these.
        wanted: its layers are paths, as of :func:`~widenet.capture.matching`.

    Raises:
        UsageError: a layer puts out nothing, the data set lacks the split or samples, another process captures in this run.
        WnError: the disk has no room; what was captured until then stays.
    """
    split, index = wanted.samples(run, data)
    told = key(run, net, split, wanted)
    if found := find(run, told, wanted):
        return found
    shapes, classes = _shapes(net, split, wanted)
    name = f"{wanted.split}-{short(told, wanted.layers)}"
    folder = run.path / FOLDER / name
    with writing(run.path / FOLDER):
        if found := find(run, told, wanted):
            return found
        row = _row(shapes, classes, wanted)
        rows = max(1, PART // (row * ROWS)) * ROWS
        attributes = {"schema": 1, "run": run.name, "key": json.dumps(told), "layers": json.dumps(wanted.layers)}
        parts = [folder / f"{start:09d}-{min(start + rows, len(index)):09d}.h5" for start in range(0, len(index), rows)]
        done = next((number for number, part in enumerate(parts) if not part.exists()), len(parts))
        _announce(run, wanted, len(index), row, done * rows)
        with writable(folder):
            folder.mkdir(parents=True, exist_ok=True)
        source = _Rows(stream(net, split, wanted.layers, wanted.reduction, batch_size, done * rows, wanted.torch_dtype))
        for number in range(done, len(parts)):
            places = index[number * rows : (number + 1) * rows]
            with new(parts[number]) as file:
                file.attrs.update(attributes)
                lay_out(file, len(places), classes, shapes, wanted)
                file["index"][...] = places.numpy()
                for start in range(0, len(places), ROWS):
                    write(file, start, source.take(min(ROWS, len(places) - start)))
                    gone = min(number * rows + start + ROWS, len(index))
                    run.reporter.work(f"capturing {wanted.split}", gone, len(index))
        path = folder.with_suffix(".h5")
        if len(parts) == 1:
            parts[0].replace(path)
            folder.rmdir()
        else:
            join(path, parts, attributes)
    return Captured(path, wanted.layers)


def size_of(run: Run, net: nn.Module, data: Any, wanted: Wanted) -> dict[str, Any]:
    """What a capture would hold: samples, units (or shape) of each layer, bytes in all."""
    split, index = wanted.samples(run, data)
    shapes, classes = _shapes(net, split, wanted)
    return {"samples": len(index), "layers": shapes, "bytes": len(index) * _row(shapes, classes, wanted)}


def _shapes(net: nn.Module, split: Any, wanted: Wanted) -> tuple[dict[str, tuple[int, ...]], int]:
    """The shape of each layer's output of one sample, and the number of classes."""
    two = split.part(torch.arange(min(2, len(split))))
    batch = next(stream(net, two, wanted.layers, wanted.reduction))
    return {name: tuple(output.shape[1:]) for name, output in batch.layers.items()}, batch.logits.shape[1]


def _row(shapes: Mapping[str, tuple[int, ...]], classes: int, wanted: Wanted) -> int:
    """Bytes of one sample: its outputs, and index, label and logits."""
    units = sum(torch.Size(shape).numel() for shape in shapes.values())
    return units * wanted.torch_dtype.itemsize + 16 + 4 * classes


def _announce(run: Run, wanted: Wanted, count: int, row: int, done: int) -> None:
    """Say how much will be written.

    Raises:
        WnError: the disk has not so much room.
    """
    left = (count - min(done, count)) * row
    free = shutil.disk_usage(run.path).free
    if left + SPARE > free:
        raise WnError(
            f"capturing {wanted.split} of {run.name} takes {left / 1e6:,.1f} MB, and {run.path} has {free / 1e6:,.1f} MB left; "
            "free some, or capture less: fewer layers, --reduction mean, --dtype float16, --per-class"
        )
    resumed = f" ({done:,} are there)" if done else ""
    layers = wanted.layers[0] if len(wanted.layers) == 1 else f"{len(wanted.layers)} layers"
    run.reporter.say(f"capturing {layers} of {count:,} {wanted.split} samples{resumed}: {left / 1e6:,.1f} MB")


class _Rows:
    """Samples in blocks of any size out of a stream's batches."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._held: list[Batch] = []

    def take(self, count: int) -> Batch:
        """The next ``count`` samples."""
        while (have := sum(len(batch.labels) for batch in self._held)) < count:
            self._held.append(next(self._batches))
        whole = _joined(self._held)
        self._held = [_cut(whole, slice(count, None))] if have > count else []
        return _cut(whole, slice(0, count))


def _joined(batches: list[Batch]) -> Batch:
    names = batches[0].layers
    return Batch(
        torch.cat([batch.labels for batch in batches]),
        torch.cat([batch.logits for batch in batches]),
        {name: torch.cat([batch.layers[name] for batch in batches]) for name in names},
    )


def _cut(batch: Batch, rows: slice) -> Batch:
    return Batch(batch.labels[rows], batch.logits[rows], {name: output[rows] for name, output in batch.layers.items()})
