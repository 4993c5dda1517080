"""Masks as bits, and the file that holds them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from widenet import UsageError
from widenet.errors import Stopped
from widenet.store import read_arrays, write_arrays

FORMAT, VERSION = "widenet-seed", 1


def packed(masks: Iterable[Tensor]) -> np.ndarray:
    """Bool tensors one after the other, in C order: uint8, eight entries a byte, the first in the highest bit."""
    return np.packbits(np.concatenate([np.zeros(0, bool), *(mask.numpy().ravel() for mask in masks)]))


def unpacked(bits: np.ndarray, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    """The bool tensors, flat and of these sizes, that :func:`packed` made ``bits`` of."""
    return torch.from_numpy(np.unpackbits(bits, count=sum(sizes)).astype(bool)).split(list(sizes))


def write_packed(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Write a seed file: arrays, of which empty ones are left out, and one attribute ``about``, which is JSON.

    Raises:
        WnError: the disk is full or the folder may not be written.
    """
    text = json.dumps({"format": FORMAT, "version": VERSION, **about})
    # As bytes: HDF5 gives a string, or a ninth attribute, some kilobytes of its own.
    write_arrays(path, {name: array for name, array in arrays.items() if array.size}, {"about": np.bytes_(text)})


def read_packed(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays of a seed file, and what it says about them.

    Raises:
        UsageError: no such file, none of this form, or one of another version.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    try:
        with h5py.File(path, "r") as file:
            about = json.loads(file.attrs.get("about", b"{}"))
        arrays = read_arrays(path)
    except Stopped:
        raise
    except Exception as error:  # damage can make h5py raise nearly anything
        raise UsageError(f"{path} is no readable HDF5 file (truncated?); get it once more from where it came from") from error
    if about.get("format") != FORMAT:
        raise UsageError(f"{path} is no seed file; `wn export RUN --what seed` writes one")
    if about["version"] != VERSION:
        raise UsageError(f"{path} is a seed file of version {about['version']}, this reads version {VERSION}")
    return arrays, about


def is_packed(path: Path) -> bool:
    """Whether a file is HDF5, as seed files are."""
    return path.is_file() and bool(h5py.is_hdf5(path))
