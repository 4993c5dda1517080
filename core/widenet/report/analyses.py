"""Analyses that a run's folder keeps: their rows, figures and options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from widenet.components import Analysis
from widenet.errors import WnError
from widenet.files import read_json
from widenet.options import pair
from widenet.report.pictures import pictures
from widenet.report.tables import LARGE, link, table
from widenet.runs import Run


def analyses(run: Run) -> list[dict[str, Any]]:
    """One entry an analysis, by folder."""
    return [_analysis(run, path) for path in sorted((run.path / "analyses").glob("*")) if path.is_dir()]


def _analysis(run: Run, path: Path) -> dict[str, Any]:
    notes: list[str] = []
    record = _record(path, notes)
    name = str(record.get("component") or path.name)
    figures, unread = pictures(path, name.rpartition("/")[2])
    rows = _rows(path, record.get("status") == "finished", notes)
    csv = path / "result.csv"
    return {
        "name": name.rpartition("/")[2],
        "what": _what(run, name),
        "figures": figures,
        "notes": [*notes, *unread],
        "status": record.get("status", ""),
        "error": record.get("error", ""),
        "options": ", ".join(pair(key, value) for key, value in _mapping(record.get("options")).items()),
        "with": ", ".join(map(str, record.get("parents", [])[1:])),
        "made": str(record.get("finished") or record.get("started") or "").replace("T", " "),
        "table": rows,
        "csv": f"{run.name}/analyses/{path.name}/{csv.name}" if csv.is_file() else "",
        "download": _download(csv),
        "old": _old(run, record),
    }


def _record(path: Path, notes: list[str]) -> Mapping[str, Any]:
    try:
        record = read_json(path / "run.json")
    except WnError:
        record = None
    if not isinstance(record, dict):
        notes.append("run.json is missing or damaged: how this analysis was made is not known")
        return {}
    return record


def _what(run: Run, name: str) -> str:
    """The analysis in a line, where its plugin is installed here."""
    try:
        return run.registry.find(Analysis, name).summary if run.registry else ""
    except WnError:
        return ""


def _rows(path: Path, finished: bool, notes: list[str]) -> dict[str, Any] | None:
    """The rows as a table, or None."""
    try:
        rows = read_json(path / "result.json")
    except WnError:
        rows = None
    if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
        return table(rows)
    if finished or (path / "result.json").exists():
        notes.append("result.json is missing or damaged: the same command with --fresh makes it anew")
    return None


def _download(csv: Path) -> str:
    """The CSV inside the page, unless it is large."""
    try:
        return link(csv.read_bytes(), "text/csv") if csv.stat().st_size <= LARGE else ""
    except OSError:
        return ""


def _old(run: Run, record: Mapping[str, Any]) -> bool:
    """Whether the run has gone on, or was made anew, since the analysis."""
    of = record.get("of")
    stands = [_mapping(stand).get("finished") for stand in (of if isinstance(of, list) else [of])]
    return bool(stands[:1] and stands[0] and stands[0] != run.record.get("finished"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
