"""The HDF5 files of a capture: each whole or absent, and one that shows them all as one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from widenet.capture.kept import ROWS, UNITS
from widenet.capture.stream import Batch
from widenet.capture.wanted import Wanted
from widenet.files import writable


@contextlib.contextmanager
def new(path: Path) -> Iterator[Any]:
    """An HDF5 file that appears under its name, complete, only when the block ends well.

    Raises:
        WnError: the disk is full, or the folder may not be written.
    """
    import h5py

    part = path.with_name(path.name + ".part")
    try:
        with writable(path):
            try:
                with h5py.File(part, "w", track_order=True, libver="latest") as file:
                    yield file
            except RuntimeError as error:  # HDF5 closing a file that it could not write
                raise OSError(str(error)) from error
            part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def lay_out(file: Any, count: int, classes: int, shapes: Mapping[str, tuple[int, ...]], wanted: Wanted) -> None:
    """Make the data sets of a part, empty."""
    file.create_dataset("index", (count,), "int64")
    file.create_dataset("labels", (count,), "int64")
    file.create_dataset("logits", (count, classes), "float32")
    layers = file.create_group("layers", track_order=True)
    for name, shape in shapes.items():
        chunk = (min(ROWS, count), min(UNITS, shape[0]), *shape[1:]) if shape else (min(ROWS, count),)
        layers.create_dataset(name, (count, *shape), wanted.dtype, chunks=chunk, fletcher32=True)


def write(file: Any, start: int, block: Batch) -> None:
    """Write samples into the data sets of a part, from its row ``start`` on."""

    def put(data: Any, values: Tensor) -> None:
        data[start : start + len(values)] = values.numpy()

    put(file["labels"], block.labels)
    put(file["logits"], block.logits)
    for name, output in block.layers.items():
        put(file["layers"][name], output)


def join(path: Path, parts: list[Path], attributes: Mapping[str, Any]) -> None:
    """Write the file that shows all parts as one; it names them relative to itself, so that the folder can be moved."""
    import h5py

    with h5py.File(parts[0], "r") as first:
        names = ["index", "labels", "logits", *(f"layers/{name}" for name in first["layers"])]
        about = {name: (first[name].shape[1:], first[name].dtype) for name in names}
    counts = []
    for part in parts:
        with h5py.File(part, "r") as file:
            counts.append(len(file["labels"]))
    with new(path) as file:
        file.attrs.update(attributes)
        for name, (shape, dtype) in about.items():
            layout = h5py.VirtualLayout((sum(counts), *shape), dtype)
            begin = 0
            for part, count in zip(parts, counts, strict=True):
                layout[begin : begin + count] = h5py.VirtualSource(f"{path.stem}/{part.name}", name, (count, *shape))
                begin += count
            file.create_virtual_dataset(name, layout)
