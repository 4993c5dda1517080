"""Filters of classes: for each class the units that it needs most, in order; read from and written to files."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from widenet.errors import UsageError
from widenet.files import write_json
from widenet.store import read_arrays
from widenet.weights import PICKLE

CLASS = re.compile(r"\d+")


@attrs.frozen(eq=False)
class Filters:
    """The units of every class, most influential first: int64 (k_c,) each, of a layer of ``units``; sizes may differ."""

    units: int
    sets: tuple[Tensor, ...]

    @classmethod
    def checked(cls, units: int, sets: Sequence[Sequence[int]]) -> Filters:
        """From lists of anyone's.

        Raises:
            ValueError: a unit that the layer does not have, or one that a class names twice.
        """
        for number, members in enumerate(sets):
            if wrong := [unit for unit in members if not 0 <= unit < units]:
                raise ValueError(f"class {number} names unit {wrong[0]}, the layer has units 0 to {units - 1}")
            if len(set(members)) < len(members):
                twice = next(unit for unit in members if members.count(unit) > 1)
                raise ValueError(f"class {number} names unit {twice} twice; name each once")
        return cls(units, tuple(torch.tensor(members, dtype=torch.int64) for members in sets))

    @classmethod
    def of(cls, ranking: Tensor, units: int) -> Filters:
        """From a ranking int64 (C, k) of each class's units."""
        return cls(units, tuple(ranking.cpu()))

    @classmethod
    def ranked(cls, mask: Tensor, ranking: Tensor) -> Filters:
        """From a mask bool (C, F), its units in the order of a ranking (C, F) of all."""
        return cls(mask.shape[1], tuple(order[kept[order]] for kept, order in zip(mask.cpu(), ranking.cpu(), strict=True)))

    @property
    def mask(self) -> Tensor:
        """Which units each class has, bool (C, F)."""
        mask = torch.zeros(len(self.sets), self.units, dtype=torch.bool)
        for row, members in zip(mask, self.sets, strict=True):
            row[members] = True
        return mask

    @property
    def size(self) -> int:
        """Units of the class that has most."""
        return max((len(members) for members in self.sets), default=0)

    @property
    def smallest(self) -> int:
        """Units of the class that has fewest."""
        return min((len(members) for members in self.sets), default=0)

    def random(self, ranking: Tensor) -> Filters:
        """As many units of each class, the first of a ranking (C, F)."""
        return Filters(self.units, tuple(row[: len(own)] for row, own in zip(ranking, self.sets, strict=True)))

    def top(self, k: int) -> Filters:
        """The first k units of each class."""
        return Filters(self.units, tuple(members[:k] for members in self.sets))


def write_filters(path: Path, filters: Filters) -> None:
    """Write ``{"0": [units], "1": ...}``, the form in which the paper's sets were published, most influential first."""
    write_json(path, {str(number): members.tolist() for number, members in enumerate(filters.sets)})


def read_filters(path: Path, classes: int, units: int, ascending: bool = False) -> Filters:
    """Read the units of every class from a file, without running code from it.

    ``.json``: a list of units for each class, by its number or in order, alone or under a single key (a layer's). ``.npy``,
    ``.npz``: integers (C, k). ``.h5``: a mask bool (C, F), whose units have no order. Lists are most influential first, or last
    where ``ascending``.

    Raises:
        UsageError: no such file, a pickle, another form, another number of classes, a unit that is not there or named twice.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path} with the units of each class")
    with path.open("rb") as file:
        pickled = path.suffix in (".pkl", ".pickle") or file.read(1) == PICKLE
    if pickled:
        raise UsageError(
            f"{path} is a pickle, which can run code when it is read, and was refused; where you trust it, write it anew: "
            'json.dump({str(c): list(map(int, units)) for c, units in pickle.load(file).items()}, open("filters.json", "w"))'
        )
    if (read := READERS.get(path.suffix)) is None:
        raise UsageError(f"{path} is none of {', '.join(READERS)}; write the units of each class as JSON")
    try:
        lists = read(path)
        if len(lists) != classes:
            raise ValueError(f"it has {len(lists)} classes, the network {classes}; take the file that was made for it")
        if not any(lists):
            raise ValueError("it has no unit of any class; give each class some")
        order = slice(None, None, -1 if ascending else 1)
        return Filters.checked(units, [members[order] for members in lists])
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None


def _json(path: Path) -> list[list[int]]:
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON ({error})") from None
    while _wrapped(content):
        content = next(iter(content.values()))
    return [_integers(number, members) for number, members in enumerate(_in_order(content))]


def _wrapped(content: Any) -> bool:
    """Whether all lies under one key that names a layer; a single class is a list of whole numbers under ``0``."""
    if not isinstance(content, dict) or len(content) != 1:
        return False
    (inner,) = content.values()
    return isinstance(inner, dict) or (isinstance(inner, list) and any(isinstance(part, list) for part in inner))


def _in_order(content: Any) -> list[Any]:
    """The lists of all classes, by number: the keys of JSON are text, of which "10" comes before "2"."""
    if isinstance(content, list):
        return content
    if not isinstance(content, dict) or not all(CLASS.fullmatch(key) for key in content):
        raise ValueError('it must hold {"0": [units], "1": [units], ...}, a list for each class')
    numbered = {int(key): members for key, members in content.items()}
    if missing := [number for number in range(len(content)) if number not in numbered]:
        raise ValueError(f"class {missing[0]} is missing; number the classes from 0")
    return [numbered[number] for number in range(len(numbered))]


def _integers(number: int, members: Any) -> list[int]:
    if not isinstance(members, list) or not all(type(unit) is int for unit in members):
        raise ValueError(f"class {number} has {str(members)[:40]}, which is no list of whole numbers")
    return members


def _numpy(path: Path) -> list[list[int]]:
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            array = found[_single(found.files)] if isinstance(found, np.lib.npyio.NpzFile) else found
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"it cannot be read without running code, or is damaged ({error})") from None
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise ValueError(f"it holds {array.dtype} of shape {array.shape}, not whole numbers (classes, k)")
    lists: list[list[int]] = array.tolist()
    return lists


def _hdf5(path: Path) -> list[list[int]]:
    arrays = read_arrays(path)
    mask = arrays[_single(list(arrays))]
    if mask.ndim != 2 or mask.dtype != bool:
        raise ValueError(f"it holds {mask.dtype} of shape {mask.shape}, not a mask of booleans (classes, units)")
    return [np.flatnonzero(row).tolist() for row in mask]


def _single(names: Sequence[str]) -> str:
    if len(names) != 1:
        raise ValueError(f"it holds {', '.join(names) or 'nothing'}; keep one array in it")
    return names[0]


READERS: dict[str, Callable[[Path], list[list[int]]]] = {".json": _json, ".npy": _numpy, ".npz": _numpy, ".h5": _hdf5}
"""By the ending of a file's name, what reads the units of its classes."""
