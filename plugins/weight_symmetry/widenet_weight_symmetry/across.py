"""Runs beside each other: what symmetry their masks leave, how well they do, and whether the one tells the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from widenet.errors import UsageError
from widenet.files import write_json
from widenet_weight_symmetry.across_config import CHIEF, NUMBERS, Across
from widenet_weight_symmetry.summary import log10_permutations, summary

Row = dict[str, Any]
IN_PLACE = ("fan_in", "rates")
"""Options that say in place of ``sparsity`` how much is masked."""
FEWEST = 3
"""Runs, below which no correlation is given."""


def symmetry_across(runs: Sequence[Any], nets: Sequence[Any], data: Any, config: Across) -> Iterator[Row]:
    """Compare runs: symmetry of their masks, accuracy, and whether the one predicts the other; draws a figure.

    A row a run, then Spearman's rank correlation of log10_permutations and test_accuracy over all runs and over those of each
    sparsity (p_value: asymptotic, of no correlation). summary.json has every field of every run; the figure shows any column
    against any, each run, and the mean and one standard deviation of runs alike in x and colour.

    Raises:
        UsageError: a run is given twice.
    """
    from widenet_weight_symmetry.across_figure import draw

    names = [run.name for run in runs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"{twice} is given twice; name every run once")
    fields = [summary(run, lambda number=number: nets[number]) for number, run in enumerate(runs)]  # type: ignore[misc]
    write_json(runs[0].out / "summary.json", dict(zip(names, fields, strict=True)))
    rows = [{**row, **found} for row, found in zip(about(runs), fields, strict=True)]
    for run, row in zip(runs, rows, strict=True):
        row["log10_permutations"] = log10_permutations(run, row)
    draw(rows, runs[0], config)
    columns = dict.fromkeys([*CHIEF, config.x, config.y, config.by, *(NUMBERS if config.wide else ())])
    yield from ({name: row.get(name) for name in columns} for row in rows)
    for found in correlations(rows):
        runs[0].say(told(found))
        yield found


def about(runs: Sequence[Any]) -> list[Row]:
    """What each run is: of its architecture and its data the names, with those options in which the runs differ."""
    archs, datasets = (_specs([run.record[kind] for run in runs]) for kind in ("arch", "dataset"))
    return [
        {
            "run": run.name,
            "arch": arch,
            "dataset": dataset,
            "method": run.record["component"].rpartition("/")[2],
            "seed": run.seed,
            "mask_type": run.option("mask_type"),
            "sparsity": _asked(run),
            "test_accuracy": run.record["result"].get("test_accuracy"),
        }
        for run, arch, dataset in zip(runs, archs, datasets, strict=True)
    ]


def correlations(rows: Sequence[Row]) -> Iterator[Row]:
    """Spearman's rank correlation of symmetry and accuracy, over all rows and within each sparsity of three runs or more.

    Runs with a dead layer, and those that were not counted or not evaluated, are left out. ``spearman`` and ``p_value`` are
    None where all runs are alike in one of the two.
    """
    from scipy.stats import spearmanr

    able = [row for row in rows if None not in (row["log10_permutations"], row["test_accuracy"])]
    groups: dict[float, list[Row]] = {}
    for row in able:
        sparsity = row.get("mask/sparsity", 0.0) if row["sparsity"] is None else row["sparsity"]
        groups.setdefault(round(sparsity, 3), []).append(row)
    within = {f"spearman at sparsity {sparsity:g}": groups[sparsity] for sparsity in sorted(groups)}
    for name, group in {"spearman": able, **(within if len(within) > 1 else {})}.items():
        if len(group) < FEWEST:
            continue
        pairs = [[row[key] for row in group] for key in ("log10_permutations", "test_accuracy")]
        alike = any(len(set(values)) == 1 for values in pairs)
        rho, p = (None, None) if alike else map(float, spearmanr(*pairs))
        yield {"run": name, "runs": len(group), "spearman": rho, "p_value": p}


def told(row: Mapping[str, Any]) -> str:
    """A correlation in words."""
    where = row["run"].removeprefix("spearman")
    over = f"over {row['runs']} runs{where}"
    if row["spearman"] is None:
        return f"symmetry and test accuracy {over}: nothing to correlate, one of them is the same in all"
    return f"symmetry and test accuracy {over}: rank correlation {row['spearman']:.2f} (p = {row['p_value']:.2g})"


def _specs(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """``name:option=value`` for recorded components, with the options in which those of one name differ."""
    values: dict[tuple[str, str], set[str]] = {}
    for entry in entries:
        for key, value in entry["options"].items():
            values.setdefault((entry["name"], key), set()).add(str(value))
    specs = []
    for entry in entries:
        differing = [
            f"{key}={value}"
            for key, value in entry["options"].items()
            if len(values[entry["name"], key]) > 1 and value is not None
        ]
        specs.append(":".join(filter(None, [entry["name"].rpartition("/")[2], ",".join(differing)])))
    return specs


def _asked(run: Any) -> float | None:
    """The sparsity that was asked for, or drawn; None where something else decided."""
    drawn = run.record["result"].get("drawn_sparsity")
    return drawn if drawn is not None else None if any(run.option(name) for name in IN_PLACE) else run.option("sparsity")
