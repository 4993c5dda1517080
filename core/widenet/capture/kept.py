"""A capture on disk, read in blocks."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import torch

from widenet.capture.wanted import Wanted
from widenet.errors import WnError
from widenet.runs import Run

if TYPE_CHECKING:
    import numpy as np

ROWS, UNITS = 1024, 64
"""Samples and units of a chunk of HDF5: a block of units, or a batch of samples, is read without reading the rest."""
FOLDER = "activations"


@attrs.frozen(eq=False)
class Captured:
    """A capture: one HDF5 file with ``index``, ``labels``, ``logits`` and a data set a layer under ``layers/``.

    Reading holds one block of samples, or of units, at a time.
    """

    path: Path
    layers: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def labels(self) -> torch.Tensor:
        """Class of every sample, int64 (N,)."""
        return self._whole("labels")

    @functools.cached_property
    def logits(self) -> torch.Tensor:
        """The network's logits, float32 (N, classes)."""
        return self._whole("logits")

    def shape(self, layer: str) -> tuple[int, ...]:
        """Samples and units of a layer, as ``(N, units)`` unless it was not reduced."""
        with self._open() as file:
            return tuple(file["layers"][layer].shape)

    def features(self, layer: str) -> torch.Tensor:
        """All of a layer, float32 (N, units)."""
        return self._whole(f"layers/{layer}").float()

    def batches(self, layer: str, rows: int = ROWS) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield a layer's outputs float32 (n, units) and the labels int64 (n,), in order."""
        with self._open() as file:
            data = file["layers"][layer]
            for start in range(0, len(data), rows):
                block = torch.from_numpy(_read(self.path, data, slice(start, start + rows)))
                yield block.float(), self.labels[start : start + rows]

    def columns(self, layer: str, units: int = UNITS) -> Iterator[torch.Tensor]:
        """Yield some units of a layer on all samples, float32 (N, units), block by block: for what batches cannot tell."""
        with self._open() as file:
            data = file["layers"][layer]
            for start in range(0, data.shape[1], units):
                yield torch.from_numpy(_read(self.path, data, (slice(None), slice(start, start + units)))).float()

    def _whole(self, name: str) -> torch.Tensor:
        with self._open() as file:
            return torch.from_numpy(_read(self.path, file[name], slice(None)))

    @contextlib.contextmanager
    def _open(self) -> Iterator[Any]:
        import h5py

        try:
            # Room for all chunks of one block of samples, so that each is read once.
            file = h5py.File(self.path, "r", rdcc_nbytes=2**26)
        except OSError as error:
            raise damaged(self.path) from error
        with file:
            yield file


def _read(path: Path, data: Any, part: slice | tuple[slice, ...]) -> np.ndarray:
    """Some samples, or some units of them, of a data set.

    Raises:
        WnError: the file is damaged: a checksum does not hold, or a part of it is missing.
    """
    try:
        block: np.ndarray = data[part]
    except OSError as error:
        raise damaged(path) from error
    return block


def damaged(path: Path) -> WnError:
    """What to do about a capture that cannot be read."""
    return WnError(f"{path} is damaged; delete it and the folder of that name, if there is one, and capture anew")


def find(run: Run, key: Mapping[str, Any], wanted: Wanted) -> Captured | None:
    """A capture of the run made under this very key that has all the layers wanted, the smallest; None if there is none."""
    import h5py

    found = []
    for path in sorted((run.path / FOLDER).glob(f"{wanted.split}-*.h5")):
        try:
            with h5py.File(path, "r") as file:
                made, layers = json.loads(file.attrs["key"]), tuple(json.loads(file.attrs["layers"]))
                whole = all(source.is_file() for source in _sources(path, file))
        except (OSError, KeyError, ValueError):
            continue  # none of ours, or damaged: captured anew
        if whole and made == json.loads(json.dumps(key)) and set(layers) >= set(wanted.layers):
            found.append(Captured(path, layers))
    return min(found, key=lambda captured: len(captured.layers), default=None)


def _sources(path: Path, file: Any) -> list[Path]:
    """The files that hold the parts of a capture, if it is in parts."""
    labels = file["labels"]
    return [path.parent / source.file_name for source in labels.virtual_sources()] if labels.is_virtual else []
