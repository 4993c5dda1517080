"""Values as JSON and CSV can hold them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def jsonable(value: Any) -> Any:
    """``value`` with scalars of NumPy and torch as Python's, tuples as lists, and numbers that are not finite as None.

    Raises:
        TypeError: it holds something else, a tensor say.
    """
    if hasattr(value, "item") and math.prod(getattr(value, "shape", ())) == 1:
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(part) for part in value]
    raise TypeError(f"results, metrics and rows hold plain values, not a {type(value).__name__}; save it with save_arrays")


def flat(row: Any) -> dict[str, Any]:
    """A row of an analysis: a dict of plain values, none of them a list or a dict.

    Raises:
        TypeError: it is anything else.
    """
    if not isinstance(row, Mapping):
        raise TypeError(f"an analysis must yield dicts, not {type(row).__name__}")
    plain = jsonable(row)
    for key, value in plain.items():
        if isinstance(value, (list, dict)):
            raise TypeError(f"column {key!r} holds a {type(value).__name__}; rows are flat")
    return plain
