"""What a run measured: results, training curves, masks layer by layer."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from widenet.errors import WnError
from widenet.report.pictures import Picture, picture
from widenet.report.tables import TIMES, Table, cell, result, table
from widenet.runs import Run

TAGS = ("final", "best")
Notes = list[str]


def lines(run: Run, notes: Notes) -> list[dict[str, Any]]:
    """The lines of metrics; what is wrong with them goes to ``notes``."""
    try:
        found = run.metrics()
    except WnError as error:
        notes.append(str(error))
        return []
    sound = [line for line in found if isinstance(line, dict)]
    if len(sound) < len(found):
        notes.append("metrics.jsonl is damaged: some of its lines are no metrics")
        return []
    if not sound and (run.path / "checkpoint.pt").exists():
        notes.append("metrics.jsonl is missing or empty, though the run has trained: there are no training curves")
    return sound


def results(run: Run, metrics: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Name and cell of each result; of a run that is not finished what its last epoch measured."""
    found = run.record["result"]
    if not found and metrics:
        found = {name: value for name, value in metrics[-1].items() if not isinstance(value, (dict, list))}
    return [{"name": _words(name), "cell": result(name, value)} for name, value in found.items()]


def _words(name: str) -> str:
    return name.replace("_", " ").replace("/", " ")


def curves(runs: Sequence[Run], alt: str, notes: Notes) -> Picture | None:
    """Training curves; None where there is nothing to draw."""
    from widenet.curves import training_curves
    from widenet.figures import rendered

    if not runs:
        return None
    try:
        return picture(rendered(training_curves(runs), "svg"), ".svg", alt)
    except WnError as error:
        notes.append(str(error))
        return None


def epochs(metrics: Sequence[Mapping[str, Any]]) -> Table:
    """The metrics as a table, a row an epoch."""
    return table([{name: value for name, value in line.items() if not isinstance(value, (dict, list))} for line in metrics])


def masks(run: Run, notes: Notes) -> list[dict[str, Any]]:
    """Of each kind of masks a table: shape, weights, kept and density of every layer, and of all."""
    found = []
    for tag in TAGS:
        if not run.has_masks(tag):
            if tag == "final" and run.finished and run.record["result"].get("kept") is not None:
                notes.append("masks/final.h5 is missing, though the run had masks")
            continue
        try:
            found.append({"tag": tag, "table": _densities(run.masks(tag))})
        except WnError as error:
            notes.append(str(error))
    return found


def _densities(masks: Mapping[str, Any]) -> Table:
    rows = [_layer(name, TIMES.join(map(str, mask.shape)), mask.size, int(mask.sum())) for name, mask in masks.items()]
    made = table(rows, None)
    kept, size = (sum(row[key] for row in rows) for key in ("kept", "weights"))
    made["sum"] = table([_layer("all", " ", size, kept)], None)["rows"][0]
    return made


def _layer(name: str, shape: str, size: int, kept: int) -> dict[str, Any]:
    share = kept / max(1, size)
    density = cell(share, f"{share:.2%}", bar=round(100 * share, 2))
    return {"layer": name or "(the network)", "shape": shape, "weights": size, "kept": kept, "density": density}


def check_weights(run: Run, notes: Notes) -> None:
    """Note weights that a finished run should have and that are missing or damaged."""
    path = run.path / "weights" / "final.pt"
    if not path.exists():
        if run.finished:
            notes.append("weights/final.pt is missing: analyses and exports of this run are not possible any more")
        return
    try:
        # A file of tensors is an archive with checksums: torch is not needed to find it damaged.
        with zipfile.ZipFile(path) as archive:
            sound = archive.testzip() is None
    except (OSError, ValueError, NotImplementedError, EOFError, zipfile.BadZipFile):
        sound = False
    if not sound:
        notes.append("weights/final.pt is damaged: analyses and exports of this run are not possible any more")
