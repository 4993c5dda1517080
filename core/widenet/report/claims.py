"""Claims of papers beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from widenet.errors import WnError
from widenet.files import read_json
from widenet.report.tables import Table, cell, shown, table
from widenet.series import is_number

FILE = "claims.json"
VERDICTS = {"yes": "✓ holds", "no": "✗ does not hold", "undecided": "? undecided"}
NAMES = {"paper": "paper's value", "ours": "each seed", "mean": "our mean", "spread": "± spread", "holds": "direction"}


def read(folder: Path, notes: list[str]) -> list[Mapping[str, Any]]:
    """The claims that a folder's ``claims.json`` has; what is wrong with it goes to ``notes``."""
    path = folder / FILE
    if not path.exists():
        return []
    try:
        found = read_json(path)
    except WnError:
        found = None
    if isinstance(found, list) and all(isinstance(claim, dict) for claim in found):
        return found
    notes.append(f"{FILE} is damaged: the claims are not shown")
    return []


def claims(found: Sequence[Mapping[str, Any]]) -> Table | None:
    """A row a claim: whether its direction holds, the paper's value, ours, the spread over seeds, where it is from."""
    return table([_row(claim) for claim in found], None, NAMES) if found else None


def _row(claim: Mapping[str, Any]) -> dict[str, Any]:
    holds = str(claim.get("holds", ""))
    ours = claim.get("ours")
    seeds = list(ours) if isinstance(ours, (list, tuple)) else [] if ours is None else [ours]
    return {
        "claim": claim.get("claim"),
        "holds": cell(None, VERDICTS.get(holds, holds), mark=holds if holds in VERDICTS else ""),
        **{name: claim.get(name) for name in ("paper", "mean", "spread")},
        "ours": ", ".join(shown(value) if is_number(value) else str(value) for value in seeds) if len(seeds) > 1 else "",
        **{name: claim.get(name) for name in ("source", "recipe", "scale")},
    }
