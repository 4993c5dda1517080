"""Rows as the page's tables show them: text for people, values to sort by."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from widenet.series import is_number

LONG = 50
"""Rows of a table that are shown."""
LARGE = 200_000
"""Bytes up to which a file is offered for download inside the page."""
SHARES = ("accuracy", "top5")
"""What in the name of a result says that it is a fraction, which people read in per cent."""
TIMES = " \N{MULTIPLICATION SIGN} "
"""Between the sizes of a shape."""

Cell = dict[str, Any]
Table = dict[str, Any]


def table(rows: Sequence[Mapping[str, Any]], limit: int | None = LONG, names: Mapping[str, str] | None = None) -> Table:
    """``columns`` and the first ``limit`` ``rows`` of cells; ``more`` is how many are left out.

    A value may be a cell already; a column without content is left out. ``names`` are headings other than the columns' own.
    """
    keys = dict.fromkeys(key for row in rows for key in row)
    content = {key: [cell(row.get(key)) for row in rows] for key in keys}
    content = {key: cells for key, cells in content.items() if any(cell["text"] for cell in cells)}
    numeric = {key: all(not cell["text"] or cell["numeric"] for cell in cells) for key, cells in content.items()}
    return {
        "columns": [{"name": (names or {}).get(key, key.replace("_", " ")), "numeric": numeric[key]} for key in content],
        "rows": [list(cells) for cells in zip(*content.values(), strict=True)][:limit],
        "more": max(0, len(rows) - limit) if limit is not None else 0,
        "total": len(rows),
        "sum": None,
    }


def cell(value: Any, text: str | None = None, **more: Any) -> Cell:
    """What stands in a table for ``value``: its text and the value to sort by; ``more`` is for the template."""
    if isinstance(value, dict) and "text" in value:
        return value
    numeric = is_number(value)
    return {"text": shown(value) if text is None else text, "value": value if numeric else "", "numeric": numeric, **more}


def shown(value: Any) -> str:
    """A value to four digits."""
    if isinstance(value, float):
        return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return exact(value)


def exact(value: Any) -> str:
    """A value with all of its digits."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(exact, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {exact(part)}" for key, part in value.items())
    return "" if value is None else str(value)


def result(name: str, value: Any) -> Cell:
    """A result of a method: accuracies and kept fractions in per cent."""
    share = isinstance(value, float) and (name == "kept" or any(part in name for part in SHARES))
    return cell(value, f"{value:.2%}") if share else cell(value)


def link(content: bytes, kind: str) -> str:
    """The content as a ``data:`` address; ``kind`` as ``text/csv``."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
