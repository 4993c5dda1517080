"""What people and programs read on stdout: tables and JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click


def print_rows(rows: Sequence[Mapping[str, Any]], as_json: bool, title: str = "") -> None:
    """Rows as a table or as a JSON list; a column without content is left out of the table."""
    if as_json:
        print_json(list(rows))
        return
    if title:
        click.echo(title)
    content = {column: [cell(row.get(column)) for row in rows] for row in rows for column in row}
    content = {column: cells for column, cells in content.items() if any(cells)}
    numbers = {column for column in content if all(_is_number(row.get(column)) for row in rows)}
    if not sys.stdout.isatty():
        for line in aligned(content, numbers):
            click.echo(line)
        return
    # Only for people: importing rich takes a third of the time of a listing.
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in content:
        shown.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for cells in zip(*content.values(), strict=True):
        shown.add_row(*cells)
    Console(markup=False, highlight=False).print(shown)


def aligned(content: Mapping[str, Sequence[str]], numbers: set[str]) -> list[str]:
    """Columns as lines of text for other programs, nothing folded or cut off; numbers stand to the right."""
    padded = []
    for column, cells in content.items():
        size = max(map(len, [column, *cells]))
        padded.append([f"{text:{'>' if column in numbers else '<'}{size}}" for text in (column, *cells)])
    return ["  ".join(line).rstrip() for line in zip(*padded, strict=True)]


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def cell(value: Any) -> str:
    """A value as a table shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def print_json(content: Any) -> None:
    """JSON on stdout."""
    sys.stdout.write(json.dumps(content, indent=2) + "\n")
