"""Figures that runs and analyses have left, inside the page: as images, so that nothing in an SVG acts on the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from widenet.errors import WnError
from widenet.report.tables import link

KINDS = {".svg": "image/svg+xml", ".png": "image/png"}
"""The forms of a figure, the better first."""
HEAVY = 500_000
"""Bytes beyond which an SVG (of very many points) gives way to a smaller PNG."""
PIXELS = {"pt": 96 / 72, "in": 96.0, "px": 1.0, "": 1.0}
"""CSS pixels of the units in which an SVG says its size."""
SIZE = re.compile(rb'<svg\b[^>]*?\s(width|height)="([\d.]+)(\w*)"[^>]*?\s(width|height)="([\d.]+)(\w*)"')
DPI = 200
"""Of a PNG that does not say it."""
METRE = 0.0254
"""Metres of an inch."""

Picture = dict[str, Any]


def pictures(folder: Path, of: str) -> tuple[list[Picture], list[str]]:
    """The figures in a folder, by name, one of each stem; and a line for each that cannot be read.

    ``of`` is what left them: it is in the images' texts, and a figure of that very name needs no caption.
    """
    return collected((path for path in sorted(folder.glob("*.*")) if path.suffix in KINDS), of)


def collected(paths: Iterable[Path], of: str) -> tuple[list[Picture], list[str]]:
    """These figures, of files that differ in their suffix only one; and a line for each that cannot be read."""
    stems: dict[Path, list[Path]] = {}
    for path in paths:
        stems.setdefault(path.with_suffix(""), []).append(path)
    found: list[Picture] = []
    notes: list[str] = []
    for stem, files in stems.items():
        try:
            words = re.sub(r"[-_]+", " ", stem.name).strip()
            known = words == re.sub(r"[-_]+", " ", of)
            found.append(_best(files, words if known or not of else f"{words} of {of}", "" if known else words))
        except WnError as error:
            notes.append(str(error))
    return found, notes


def _best(files: Sequence[Path], alt: str, caption: str) -> Picture:
    """One of a figure's files: whole, SVG unless that is heavy.

    Raises:
        WnError: none is whole.
    """
    whole = {path: content for path in files if (content := _whole(path)) is not None}
    if not whole:
        raise WnError(f"{files[0].parent.name}/{files[0].name} is damaged, or of a kind that the page cannot show")
    light = [path for path in whole if len(whole[path]) <= HEAVY] or list(whole)
    path = min(light, key=lambda path: (list(KINDS).index(path.suffix), len(whole[path])))
    return picture(whole[path], path.suffix, alt, caption)


def picture(content: bytes, suffix: str, alt: str, caption: str = "") -> Picture:
    """A figure for the template; ``width`` and ``height`` in CSS pixels, None where it does not say."""
    width, height = _svg_size(content) if suffix == ".svg" else _png_size(content)
    return {"src": link(content, KINDS[suffix]), "alt": alt, "caption": caption, "width": width, "height": height}


def _whole(path: Path) -> bytes | None:
    """The file's content, or None where it was cut off or is something else."""
    if path.suffix not in KINDS:
        return None
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if path.suffix == ".svg":
        return content if b"<svg" in content and content.rstrip().endswith(b"</svg>") else None
    return content if content.startswith(b"\x89PNG\r\n\x1a\n") and b"IEND" in content[-12:] else None


def _svg_size(content: bytes) -> tuple[int | None, int | None]:
    if not (match := SIZE.search(content)):
        return None, None
    parts = {
        name.decode(): float(number) * PIXELS.get(unit.decode(), 1.0)
        for name, number, unit in (match.groups()[:3], match.groups()[3:])
    }
    return round(parts["width"]), round(parts["height"])


def _png_size(content: bytes) -> tuple[int | None, int | None]:
    """Its pixels, at the resolution that it was drawn for."""
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    at = content.find(b"pHYs")
    dpi = int.from_bytes(content[at + 4 : at + 8], "big") * METRE if at > 0 else DPI
    return round(width * 96 / (dpi or DPI)), round(height * 96 / (dpi or DPI))
