"""What lines and axes of figures of runs are called: groups of runs, their labels, settings and words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from widenet import compare
from widenet.errors import UsageError
from widenet.options import nearest
from widenet.runs import Run

SPLITS = ("train", "val", "test")
WORDS = {
    "loss": "loss (nats)",
    "accuracy": "accuracy (fraction)",
    "top5": "top-5 accuracy (fraction)",
    "lr": "learning rate",
    "seconds": "time of an epoch (s)",
    "gradient_norm": "L2 norm of the gradient",
    "flips": "mask entries changed (fraction)",
    "kept": "weights kept (fraction)",
    "sparsity": "weights removed (fraction)",
    "width": "width (factor)",
}
"""What a metric, result or option is called on an axis, with its unit."""
SHORT = 45
"""Characters of a legend's line."""
LISTED = 15
OTHERS = "the others"
"""Runs that have none of the options in which others differ."""


@attrs.frozen
class Group:
    """Runs that are one line of a figure."""

    label: str
    runs: Sequence[Run]


def groups(runs: Sequence[Run], by: str = "", without: str = "") -> list[Group]:
    """Runs that differ in their seed only, together, or all those that have the same value of the setting ``by``.

    Labels are the settings in which the groups differ, or where these are many, those that tell them apart.
    Runs that differ in the setting ``without``, an axis, or in the run they began from, stay together where one is given.

    Raises:
        UsageError: no run has the setting ``by``.
    """
    if by:
        name = setting(runs, by)
        every = [{**compare.settings(run), **each} for run, each in zip(runs, compare.differing(runs), strict=True)]
        return _together(runs, _with(every, [name]))
    if without:
        told = [{key: value for key, value in each.items() if key != without} for each in compare.differing(runs)]
        alike = _together(runs, _with(told, _names(told)))
        of_run = {run.path: each for run, each in zip(runs, told, strict=True)}
        labels = _labels([of_run[group.runs[0].path] for group in alike])
        return [Group(label or OTHERS, group.runs) for label, group in zip(labels, alike, strict=True)]
    found = compare.grouped(runs)
    labels = _labels(compare.differing([group[0] for group in found]))
    return [Group(label or OTHERS, group) for label, group in zip(labels, found, strict=True)]


def _names(told: Sequence[Mapping[str, Any]]) -> list[str]:
    """All that differs, but for what runs began from, which often differs as other settings do."""
    return list(dict.fromkeys(name for each in told for name in each if name != compare.PARENT))


def _labels(told: Sequence[Mapping[str, Any]]) -> list[str]:
    """Short names for groups that differ so: all of it where that is short, else no more than tells each from the others."""
    names = _names(told)
    whole = _with(told, names)
    if len(set(whole)) == len(whole) and max(map(len, whole), default=0) <= SHORT:
        return whole
    chosen: list[str] = []
    for name in (*names, compare.PARENT):
        if len(set(_with(told, [*chosen, name]))) > len(set(_with(told, chosen))):
            chosen.append(name)
    return _with(told, chosen)


def _with(told: Sequence[Mapping[str, Any]], names: Iterable[str]) -> list[str]:
    return [_chosen(each, names) for each in told]


def _chosen(values: Mapping[str, Any], names: Iterable[str]) -> str:
    return compare.label({name: values[name] for name in names if name in values})


def _together(runs: Sequence[Run], labels: Sequence[str]) -> list[Group]:
    found: dict[str, list[Run]] = {}
    for run, label in zip(runs, labels, strict=True):
        found.setdefault(label, []).append(run)
    return [Group(label or OTHERS, members) for label, members in found.items()]


def setting(runs: Sequence[Run], name: str) -> str:
    """The full name of a setting that some run has: ``width`` is ``arch.width`` where the method has no ``width``.

    Raises:
        UsageError: there is none, or network and data both have one.
    """
    known = list(dict.fromkeys(key for run in runs for key in compare.settings(run)))
    name = name.replace("-", "_")
    found = [name] if name in known else [key for key in known if key.rpartition(".")[2] == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{name!r} may be {' or '.join(found)}; write one of them")
    hint = nearest(name, [*known, *(key.rpartition(".")[2] for key in known)])
    told = listed(key for each in compare.differing(runs) for key in each)
    raise UsageError(f"no run has an option {name!r}{hint}; these runs differ in {told or 'their seed only'}")


def listed(names: Iterable[str]) -> str:
    """Names for a line that says what there is, each once, not more than fit."""
    unique = list(dict.fromkeys(names))
    return ", ".join(unique[:LISTED]) + (f" and {len(unique) - LISTED} more" if len(unique) > LISTED else "")


def title(runs: Sequence[Run]) -> str:
    """The run's name, or what the runs have in common."""
    if len(runs) == 1:
        return runs[0].name
    folders = {run.path.absolute().parent.name for run in runs}
    if len(folders) == 1:
        return f"{folders.pop()}: {len(runs)} seeds"
    every = [compare.settings(run) for run in runs]
    same = [values.pop().rpartition("/")[2] for name in compare.NAMES if len(values := {each[name] for each in every}) == 1]
    return f"{', '.join(same)}: {len(runs)} runs" if same else f"{len(runs)} runs"


def worded(name: str) -> str:
    """A metric, result or setting as an axis names it: ``test/loss`` is ``test loss (nats)``."""
    split, _, rest = name.replace("/", "_", 1).partition("_")
    if split in SPLITS and rest:
        return f"{split} {worded(rest)}"
    return WORDS.get(name.rpartition("/")[2].rpartition(".")[2], name.replace("_", " "))
