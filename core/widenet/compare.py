"""What tells runs apart: the options in which they differ, and the groups that differ in their seed only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from widenet.options import canonical, pair
from widenet.runs import Run

NAMES = ("method", "arch", "dataset")
PARENT = "parent"


def settings(run: Run) -> dict[str, Any]:
    """Everything but the seed that decides a run, as JSON can hold it, by the names that tables and ``--where`` use.

    Full names under ``method``, ``arch`` and ``dataset``; under ``parent`` the run it began from, or None; the method's options
    under their own names, those of network and data as ``arch.width`` and ``dataset.size``. A damaged run has none.
    """
    record = run.record
    if "component" not in record:
        return {}
    found = {"method": record["component"], "arch": record["arch"]["name"], "dataset": record["dataset"]["name"]}
    found[PARENT] = next(iter(record.get("parents", ())), None)
    for name, entry in record["options"].items():
        found.setdefault(name, entry["value"])
    for part in ("arch", "dataset"):
        found |= {f"{part}.{name}": value for name, value in record[part]["options"].items()}
    return found


def differing(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Of each run those :func:`settings` that are not the same in all runs, in the same order of names.

    A run lacks what its method, network or data has no option for. Names of components are bare where that is enough to tell
    them apart.
    """
    every = [settings(run) for run in runs]
    names = dict.fromkeys(name for values in every for name in values)
    apart = [name for name in names if len({_text(values, name) for values in every}) > 1]
    told = [{name: values[name] for name in apart if name in values} for values in every]
    for name in set(apart) & set(NAMES):
        full = {values[name] for values in told if name in values}
        if len({_bare(value) for value in full}) == len(full):
            told = [{**values, **({name: _bare(values[name])} if name in values else {})} for values in told]
    return told


def label(values: Mapping[str, Any]) -> str:
    """Options as a legend or a line names them: ``arch.width=0.5, lr=0.1``."""
    return ", ".join(pair(name, value) for name, value in values.items())


def grouped(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs in groups that differ in their seed only, in order of first appearance; each group by seed.

    Parents that differ in their seed only count as the same, as where each seed began from the run of its own seed, unless some
    seed would then stand twice in a group.
    """
    return [part for group in _parted(runs, _folder) for part in (_parted(group, str) if _repeats(group) else [group])]


def _parted(runs: Sequence[Run], parent: Callable[[Any], str]) -> list[list[Run]]:
    """Groups of the runs whose settings are the same, of their parents what ``parent`` makes of the name."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        values = settings(run)
        key = canonical({**values, PARENT: parent(values.get(PARENT))} if values else str(run.path))
        groups.setdefault(key, []).append(run)
    return [sorted(group, key=lambda run: run.record.get("seed", 0)) for group in groups.values()]


def _repeats(group: Sequence[Run]) -> bool:
    seeds = [run.record.get("seed") for run in group]
    return len(set(seeds)) < len(seeds)


def _folder(parent: str | None) -> str:
    return str(parent).rpartition("/")[0]


def _bare(name: str) -> str:
    return name.rpartition("/")[2]


def _text(values: Mapping[str, Any], name: str) -> str | None:
    return canonical(values[name]) if name in values else None
