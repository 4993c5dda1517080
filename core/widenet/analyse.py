"""Carrying out an analysis: rows from a run, kept in a folder inside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from widenet.components import Component, Settings
from widenet.errors import WnError
from widenet.execute import now, outcome, versions
from widenet.files import read_json, whole, write_json
from widenet.options import changed, digest, effective
from widenet.plugins import Registry
from widenet.runs import Reporter, Run, flat, writing

Row = dict[str, Any]


def analyse(
    registry: Registry,
    analysis: Component,
    config: Any,
    path: Path,
    settings: Settings,
    reporter: Reporter,
    fresh: bool = False,
) -> tuple[Path, list[Row]]:
    """The analysis's rows for the run in ``path``, computed now or found done, and the folder that holds them.

    Raises:
        WnError: the run lacks what the analysis reads, or the analysis failed.
    """
    studied = Run.open(path)
    identity = {"analysis": analysis.full_name, "options": changed(config)}
    out = path / "analyses" / f"{analysis.name}-{digest(identity)}"
    # A run that went on since is another run to an analysis.
    version = {"finished": studied.record.get("finished", ""), "epochs": len(studied.metrics())}
    if not fresh and (rows := _done(out, version)) is not None:
        return out, rows
    net, data, device = _open(registry, studied, settings)
    with writing(out):
        run = Run(path, dict(studied.record), out=out, device=device, reporter=reporter, registry=registry)
        book = Run(out, _record(registry, analysis, config, run, version))
        with outcome(book, analysis):
            rows = [flat(row) for row in analysis.function(run, net, data, config)]
            write_json(out / "result.json", rows)
            _write_csv(out / "result.csv", rows)
    return out, rows


def _done(out: Path, version: Row) -> list[Row] | None:
    """The rows computed earlier for this version of the run, or None."""
    try:
        done = read_json(out / "run.json")
        return read_json(out / "result.json") if done["status"] == "finished" and done["of"] == version else None
    except (WnError, KeyError, TypeError):
        return None  # none yet, or damaged: computed anew


def _open(registry: Registry, run: Run, settings: Settings) -> tuple[Any, Any, Any]:
    """Network, data (made when first used) and device."""
    from widenet import opening
    from widenet.train.process import tune_process

    opening.check_final(run)
    tune_process(settings.threads)
    device = opening.device(settings.device)
    net = opening.network(registry, run).to(device).eval()
    entry, root = run.record["dataset"], settings.data_dir
    data = opening.Later(lambda: opening.dataset(registry, entry, root, settings.workers, device))
    return net, data, device


def _record(registry: Registry, analysis: Component, config: Any, run: Run, version: Row) -> Row:
    return {
        "schema": 1,
        "component": analysis.full_name,
        "version": registry.plugins[analysis.plugin].version,
        "options": effective(config),
        "parents": [run.name],
        "of": version,
        "started": now(),
        "versions": versions(),
        "seed": run.record["seed"],
    }


def _write_csv(path: Path, rows: Iterable[Row]) -> None:
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with whole(path) as file:
        file.write(text.getvalue().encode())
