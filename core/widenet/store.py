"""Arrays in HDF5, the form in which results pass from any plugin to any other.

A file is written once, under another name, and renamed; it is never reopened for writing, because a writer killed half-way
leaves a file that cannot be opened.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widenet.errors import WnError
from widenet.files import whole

if TYPE_CHECKING:
    import numpy as np

SCHEMA = 1


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], attributes: Mapping[str, Any]) -> None:
    """Write named arrays in the given order; booleans are compressed and carry ``kept`` and ``density``.

    Raises:
        WnError: the disk is full or the folder may not be written.
    """
    import h5py

    # Built in memory first, so that a full disk meets one plain write and never a half-closed HDF5 file.
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=True) as file:
        file.attrs.update({"schema": SCHEMA, **attributes})
        for name, array in arrays.items():
            boolean = array.dtype == bool
            options = {"compression": "gzip", "compression_opts": 1} if boolean and array.size else {}
            data = file.create_dataset(name, data=array, track_order=True, **options)
            if boolean:
                data.attrs["kept"] = int(array.sum())
                data.attrs["density"] = float(array.mean()) if array.size else 0.0
    with whole(path) as target:
        target.write(buffer.getbuffer())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file, in the order written.

    Raises:
        WnError: no such file, or not readable as HDF5 (truncated, damaged, something else).
    """
    import h5py

    if not path.is_file():
        raise WnError(f"there is no {path}; the run did not get that far, or saves none")
    try:
        with h5py.File(path, "r") as file:
            return {name: file[name][()] for name in _datasets(file)}
    except (OSError, RuntimeError, KeyError) as error:
        raise WnError(f"{path} is no readable HDF5 file (truncated?); repeat the run with --fresh") from error


def _datasets(group: Any, prefix: str = "") -> Iterable[str]:
    for name, item in group.items():
        if hasattr(item, "shape"):
            yield prefix + name
        else:
            yield from _datasets(item, f"{prefix}{name}/")
