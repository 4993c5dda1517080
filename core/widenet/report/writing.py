"""The page itself: content in, HTML out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from widenet import __version__
from widenet.report import measured
from widenet.report.claims import claims as claims_table
from widenet.report.pictures import collected
from widenet.report.sections import overview, section
from widenet.runs import Run

HERE = Path(__file__).parent


def page(runs: Sequence[Run], *, title: str, claims: Sequence[Mapping[str, Any]] = (), figures: Sequence[Path] = ()) -> str:
    """One HTML page of the runs, the same for the same runs: it needs no network, no other file and no scripting.

    Args:
        runs: one section each, and an overview where there are several. With a registry in them, components are described.
        title: the page's.
        claims: rows of ``claim, source, paper, ours, mean, spread, holds, recipe, scale``, which stand first; ``holds`` is
            ``yes``, ``no`` or ``undecided``. What a run's own ``claims.json`` has stands in its section.
        figures: PNG and SVG files that stand beside these claims; of files that differ in their suffix only, one.

    What is damaged or missing in a run's folder is said on the page.
    """
    pictures, notes = collected(figures, "")
    unread: list[list[str]] = [[] for _ in runs]
    trained = [measured.lines(run, told) for run, told in zip(runs, unread, strict=True)]
    parts = zip(runs, trained, unread, strict=True)
    sections = [section(run, number, lines, told) for number, (run, lines, told) in enumerate(parts, 1)]
    several = len(runs) > 1
    drawn = [run for run, lines in zip(runs, trained, strict=True) if lines] if several else []
    return rendered(
        title=title,
        version=__version__,
        claims=claims_table(claims),
        figures=pictures,
        notes=notes,
        overview=overview(runs, sections) if several else None,
        curves=measured.curves(drawn, "training curves of all runs", notes) if len(drawn) > 1 else None,
        runs=sections,
    )


def rendered(**content: Any) -> str:
    """The template filled with this content; every text is escaped."""
    import jinja2
    from markupsafe import Markup

    loader = jinja2.FileSystemLoader(HERE)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    css, js = ((HERE / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    allowed = base64.b64encode(hashlib.sha256(js.encode()).digest()).decode()
    # Only our own two files are taken as they are.
    return environment.get_template("page.html.j2").render(css=Markup(css), js=Markup(js), allowed=allowed, **content)
