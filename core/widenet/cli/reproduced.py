"""What a reproduction leaves: table, claims and figure in a folder, and a line a claim for the reader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from widenet.cli.reproducing import Reproduction
from widenet.figures import save
from widenet.files import write_csv, write_json
from widenet.options import digest
from widenet.runs import Run, flat
from widenet.study import Study, Verdict, drawn, judged


def keep(work: Reproduction, study: Study) -> tuple[list[dict[str, Any]], list[Verdict], Path, list[Path]]:
    """Write the table, the claims and the figure; returns the rows, the verdicts, the folder and the figure's files."""
    recipe = work.recipe
    rows = [flat(row) for row in recipe.function(study)]
    verdicts = [judged(claim, rows) for claim in recipe.claims]
    name = "-".join([recipe.plugin, recipe.name, work.scale, *([digest(work.changes)] if work.changes else [])])
    folder = work.runs_dir / "recipes" / name
    folder.mkdir(parents=True, exist_ok=True)
    about = {"recipe": recipe.full_name, "scale": work.scale, "changes": work.changes}
    write_csv(folder / "table.csv", rows)
    write_json(folder / "claims.json", [{**verdict.row(), **about} for verdict in verdicts])
    write_json(folder / "runs.json", [trial.run.name for trial in study.trials])
    figures = list(save(drawn(recipe, rows), Run(folder, {}), "figure")) if recipe.panels and rows else []
    return rows, verdicts, folder, figures


def told(verdict: Verdict) -> dict[str, Any]:
    """A claim as a row: the paper's number, ours with its spread over seeds, and whether it points the same way."""
    claim, unit = verdict.claim, verdict.claim.unit
    paper = claim.paper if isinstance(claim.paper, str) else _number(claim.paper, unit)
    ours = _number(verdict.mean, unit)
    if verdict.spread is not None:
        ours += f" ± {_number(verdict.spread, unit)}"
    seeds = f"{len(verdict.ours)} seed{'s' * (len(verdict.ours) != 1)}"
    return {"claim": claim.text, "source": claim.source, "paper": paper, "ours": ours, "over": seeds, "holds": verdict.holds}


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.3g} %" if unit == "%" else f"{value:.3g} {unit}".strip()


def summary(verdicts: Sequence[Verdict]) -> str:
    """How many claims hold."""
    held = sum(verdict.holds == "yes" for verdict in verdicts)
    return f"{held} of {len(verdicts)} claims hold"
