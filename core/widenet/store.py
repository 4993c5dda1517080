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

    A name with slashes lies in groups. Each array's place in the order is its attribute ``order``; a name that HDF5 cannot
    hold (the empty one of a network that is a single layer) is its attribute ``name``.

    Raises:
        WnError: the disk is full or the folder may not be written.
    """
    import h5py

    # Built in memory first, so that a full disk meets one plain write and never a half-closed HDF5 file.
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=True) as file:
        file.attrs.update({"schema": SCHEMA, **attributes})
        for order, (name, array) in enumerate(arrays.items()):
            boolean = array.dtype == bool
            options = {"compression": "gzip", "compression_opts": 1} if boolean and array.ndim and array.size else {}
            plain = _fits(name)
            data = file.create_dataset(name if plain else f"array-{order}", data=array, track_order=True, **options)
            data.attrs["order"] = order
            if not plain:
                data.attrs["name"] = name
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
            found = sorted(_datasets(file), key=lambda item: item.attrs.get("order", 0))
            return {item.attrs.get("name", item.name[1:]): item[...] for item in found}
    except WnError:  # a signal to stop
        raise
    except Exception as error:  # damage can make h5py raise nearly anything
        raise WnError(f"{path} is no readable HDF5 file (truncated?); repeat the run with --fresh") from error


def _fits(name: str) -> bool:
    """Whether HDF5 gives the name back as it is: it drops empty parts and ``.``."""
    return all(part not in ("", ".") for part in name.split("/"))


def _datasets(group: Any) -> Iterable[Any]:
    for item in group.values():
        if hasattr(item, "shape"):
            yield item
        else:
            yield from _datasets(item)
