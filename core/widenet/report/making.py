"""What was run and how: every option with its origin, the command, and what the result depends on besides."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from widenet.components import Component, Dataset, Method, Model
from widenet.errors import WnError
from widenet.files import fingerprint
from widenet.options import COMMAND_LINE, options, plain
from widenet.report.tables import TIMES, Table, exact, shown, table
from widenet.runs import Run

PARTS: dict[str, type[Component]] = {"arch": Model, "dataset": Dataset}
UNKNOWN = "not recorded"
LAYERS = {"--preset", "--config"}
"""What may have said what the command line does not."""
HASHED = ("weights", "masks")
"""Folders whose files are told by their hash too."""
PAGE = "report.html"
"""The page's own file in a run's folder."""


def setup(run: Run) -> dict[str, Any]:
    """Options chosen, all options, and the command that repeats the run."""
    rows = list(_options(run))
    chosen = [row for row in rows if row["origin"] != "default"]
    return {
        "what": _summary(run, Method, run.record["component"]),
        "command": f"wn {shlex.join(map(str, run.record['argv']))}",
        "chosen": table(chosen, None),
        "all": table(rows, None),
    }


def _options(run: Run) -> Iterator[dict[str, Any]]:
    """Rows of option, value, origin: network, data and seed first, then the method's, those chosen first."""
    record = run.record
    sources = record.get("sources", {})
    for part, kind in PARTS.items():
        origin = sources.get(part) or _origin(record, part)
        yield _row(part, record[part]["name"], origin)
        defaults = _defaults(run, kind, record[part]["name"])
        for name, value in record[part]["options"].items():
            yield _row(f"{part}.{name}", value, "default" if defaults.get(name, ...) == value else origin)
    yield _row("seed", run.seed, sources.get("seed") or _origin(record, "seed"))
    own = [_row(name, entry.get("value"), entry.get("source", UNKNOWN)) for name, entry in record["options"].items()]
    yield from sorted(own, key=lambda row: row["origin"] == "default")


def _row(name: str, value: Any, origin: str) -> dict[str, Any]:
    return {"option": name, "value": exact(value) or "none", "origin": origin}


def _origin(record: Mapping[str, Any], part: str) -> str:
    """Where network, data or seed came from, by the words of the command, for records that do not say it."""
    given = {str(word).partition("=")[0] for word in record["argv"]}
    if f"--{part}" in given:
        return COMMAND_LINE
    if given & LAYERS:
        return UNKNOWN
    parents = record.get("parents") or []
    return f"run {parents[0]}" if parents and part in PARTS else "default"


def _component(run: Run, kind: type[Component], name: str) -> Component | None:
    """The component, where its plugin is installed here."""
    try:
        return run.registry.find(kind, name) if run.registry else None
    except WnError:
        return None


def _summary(run: Run, kind: type[Component], name: str) -> str:
    component = _component(run, kind, name)
    return component.summary if component else ""


def _defaults(run: Run, kind: type[Component], name: str) -> dict[str, Any]:
    component = _component(run, kind, name)
    known = options(component.config) if component else ()
    return {option.name: plain(option.default) for option in known if not option.required}


def provenance(run: Run) -> list[tuple[str, str]]:
    """Name and text of what the result depends on besides its options, and of where and when it was made."""
    record = run.record
    commit = str(record.get("commit") or "")
    facts = {
        "folder": run.name,
        "method": f"{record['component']} {record.get('version', '')}",
        "network": f"{record['arch']['name']}, {_parameters(run)}",
        "data": _data(run),
        "started": _time(record.get("started")),
        "finished": _time(record.get("finished")),
        "took": f"{shown(record['seconds'])} s" if record.get("seconds") is not None else "",
        "host": str(record.get("host") or ""),
        "commit": f"{commit.rstrip('+')}, with files changed since" if commit.endswith("+") else commit,
        "versions": exact(record.get("versions")),
        "environment": exact(record.get("environment")),
        "began from": exact(record.get("parents")),
    }
    told = [(name, text.strip(" ,")) for name, text in facts.items() if text.strip(" ,")]
    return told + [("input", f"{name}: {mark}") for name, mark in (record.get("inputs") or {}).items()]


def _parameters(run: Run) -> str:
    count = run.record.get("parameters")
    return f"{count:,} parameters" if count is not None else ""


def _data(run: Run) -> str:
    shape, classes = run.record.get("shape"), run.record.get("classes")
    about = f", inputs {TIMES.join(map(str, shape))}, {classes} classes" if shape else ""
    return f"{run.record['dataset']['name']}{about}"


def _time(text: Any) -> str:
    """ISO 8601 as people read it."""
    return str(text or "").replace("T", " ")


def files(run: Run) -> Table:
    """Every file of the run, its size, and of weights and masks the hash."""
    found = sorted(path for path in run.path.rglob("*") if path.is_file() and _lasting(path))
    return table([_file(run.path, path) for path in found], None, {"hash": "SHA-256, first 16 digits"})


def _lasting(path: Path) -> bool:
    return path.suffix not in (".lock", ".writer", ".part") and path.name != PAGE


def _file(root: Path, path: Path) -> dict[str, Any]:
    mark = ""
    try:
        size = path.stat().st_size
        if path.parent.name in HASHED:
            mark = fingerprint(path)
    except OSError:
        size = None
    return {"file": path.relative_to(root).as_posix(), "bytes": size, "hash": mark[:16] if " " not in mark else ""}
