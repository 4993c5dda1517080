"""A run as the page's section, and several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from widenet import compare
from widenet.report import claims, measured
from widenet.report.analyses import analyses
from widenet.report.making import files, provenance, setup
from widenet.report.pictures import pictures
from widenet.report.tables import cell, result, shown, table
from widenet.runs import Run
from widenet.series import is_number

FEW = 4
"""Options that differ up to which they stand before the results."""
SAID = 200
"""Lines of a log that are shown: the last."""


def section(run: Run, number: int, trained: list[dict[str, Any]], notes: list[str]) -> dict[str, Any]:
    """Everything the page says of a run.

    Args:
        run: finished or not.
        number: of the section; its anchors have it in them.
        trained: its lines of metrics.
        notes: what is known to be missing; more is added.
    """
    record, method = run.record, run.record["component"].rpartition("/")[2]
    own, unread = pictures(run.path, method)
    content = {
        "id": f"run-{number}",
        "name": run.name,
        "title": headline([run]),
        "status": record["status"],
        "error": record.get("error", ""),
        "progress": _progress(run, trained),
        "results": measured.results(run, trained),
        "claims": claims.claims(claims.read(run.path, notes)),
        "setup": setup(run),
        "curves": measured.curves([run] if trained else [], f"training curves of {run.name}", notes),
        "epochs": measured.epochs(trained) if trained else None,
        "masks": measured.masks(run, notes),
        "figures": own,
        "analyses": analyses(run),
        "provenance": provenance(run),
        "files": files(run),
        "log": _log(run),
    }
    measured.check_weights(run, notes)
    if (was := record.get("name", run.name)) != run.name:
        notes.append(f"the folder was moved: the run was made as {was}")
    return content | {"notes": [*notes, *unread]}


def headline(runs: Sequence[Run]) -> str:
    """What is the same in all runs of method, network and data, and the seed or how many they are."""
    every = [[run.record["component"], run.record["arch"]["name"], run.record["dataset"]["name"]] for run in runs]
    same = [names[0].rpartition("/")[2] for names in zip(*every, strict=True) if len(set(names)) == 1]
    return "\N{NO-BREAK SPACE}· ".join([*same, f"seed {runs[0].seed}" if len(runs) == 1 else f"{len(runs)} runs"])


def _progress(run: Run, trained: Sequence[dict[str, Any]]) -> str:
    """How far a run got that is not finished."""
    if run.finished or not trained:
        return ""
    epochs = run.option("epochs")
    return f"epoch {trained[-1].get('epoch', '?')}" + (f" of {epochs}" if epochs else "")


def _log(run: Run) -> str:
    """The last lines of what was said beside the metrics."""
    try:
        said = (run.path / "log.txt").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(said[-SAID:])


def overview(runs: Sequence[Run], sections: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A row a run: status, the options that differ, the results that are numbers, the time it took."""
    told = compare.differing(runs)
    options = {f"option {name}": name for values in told for name in values}
    numbers = [name for run in runs for name, value in run.record["result"].items() if is_number(value)]
    results = sorted(dict.fromkeys(numbers), key=numbers.count, reverse=True)  # first what most runs have
    rows = []
    for run, values, content in zip(runs, told, sections, strict=True):
        status = run.record["status"]
        chosen = {key: _option(values[name]) if name in values else None for key, name in options.items()}
        found: dict[str, Any] = {name: _number(name, run.record["result"].get(name)) for name in results}
        found["seconds"] = run.record.get("seconds")
        # Where methods differ so do most of their options, and the results would be far to the right.
        order = chosen | found if len(options) <= FEW else found | chosen
        rows.append({"run": cell(None, run.name, link=content["id"]), "status": cell(None, status, status=status)} | order)
    return table(rows, None, options)


def _number(name: str, value: Any) -> dict[str, Any] | None:
    return result(name, value) if is_number(value) else None


def _option(value: Any) -> dict[str, Any]:
    return cell(value, str(value)) if is_number(value) else cell(None, shown(value) or "none")
