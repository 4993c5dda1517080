"""Which runs make up a family: one architecture, data set and recipe at several width factors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from widenet.errors import UsageError
from widenet_frivolous.growth import doubling
from widenet_frivolous.options import Width

HARMLESS = {"compile", "deterministic", "eval_every", "experiment", "save_at", "save_every"}
"""Options of methods in which the runs of a family may differ: none changes what is trained."""
MISSING = "none"
"""How the value of an option is called that a run does not have."""


@attrs.frozen(eq=False)
class Family:
    """The runs of a curve: ``by`` says what sets it apart, ``runs`` has the places of its runs by width factor, ascending."""

    by: Mapping[str, Any]
    runs: Mapping[float, Sequence[int]]

    @property
    def label(self) -> str:
        """What a legend calls it."""
        return ", ".join(f"{name} {value}" for name, value in self.by.items()) or "all runs"


def families(runs: Sequence[Any], config: Width) -> list[Family]:
    """The families among the runs, in the order in which they are first named.

    Raises:
        UsageError: a run is named twice or has no width factor; runs differ in more than that, their seed and ``config.by``; a
            family has a single width, or widths that do not double, and growth is wanted.
    """
    _check_alike(runs, config)
    found: dict[str, tuple[dict[str, Any], dict[float, list[int]]]] = {}
    for place, run in enumerate(runs):
        by = {name: options(run).get(name, MISSING) for name in config.by}
        members = found.setdefault(str(by), (by, {}))[1]
        members.setdefault(width_of(run, config.factor), []).append(place)
    made = [Family(by, dict(sorted(members.items()))) for by, members in found.values()]
    for family in made if config.growth else ():
        try:
            doubling(list(family.runs))
        except ValueError as error:
            raise UsageError(
                f"{family.label}: {error}; growth is told by widths that double, as 0.5, 1, 2 (or --no-growth)"
            ) from None
    return made


def width_of(run: Any, name: str) -> float:
    """The width factor of a run, an option of its architecture.

    Raises:
        UsageError: the architecture has no such option, or it is no number above 0.
    """
    arch = run.record["arch"]
    value = arch["options"].get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (value > 0 and math.isfinite(value)):
        has = ", ".join(arch["options"]) or "none"
        raise UsageError(
            f"{run.name}: {arch['name']} has no width factor {name!r} (its options: {has}); name one with --factor"
        )
    return float(value)


def options(run: Any) -> dict[str, Any]:
    """The values of a run's options by name, of its architecture, its data set and its method.

    Of one name in two of them, as ``init``, the method's counts where it is given, since it acts last.
    """
    values = {**run.record["arch"]["options"], **run.record["dataset"]["options"]}
    own = {name: entry["value"] for name, entry in run.record["options"].items()}
    return {**values, **{name: value for name, value in own.items() if value is not None or name not in values}}


def check_distinct(runs: Sequence[Any]) -> None:
    """Refuse a run that is named twice.

    Raises:
        UsageError: one is.
    """
    paths = [run.path.resolve() for run in runs]
    if twice := [run.name for run, path in zip(runs, paths, strict=True) if paths.count(path) > 1]:
        raise UsageError(f"{twice[0]} is named twice; name every run once")


def _check_alike(runs: Sequence[Any], config: Width) -> None:
    check_distinct(runs)
    known = {name for run in runs for name in options(run)}
    for name in config.by:
        if name not in known:
            raise UsageError(f"--by {name}: no run has an option of this name")
    for run in runs:
        width_of(run, config.factor)
        for what, first, other in _differences(runs[0], run, {config.factor, *config.by}):
            hint = f", or make curves of their own with --by {what}" if what in known else ""
            unlike = f"{run.name} is of another family than {runs[0].name}: its {what} is {other}, not {first}"
            raise UsageError(f"{unlike}; name runs of one{hint}")


def _differences(one: Any, other: Any, allowed: set[str]) -> Iterator[tuple[str, Any, Any]]:
    """What two runs differ in, beside their seed and what is allowed: its name, and the value of each."""
    for what in ("component", "arch", "dataset"):
        pair = [run.record[what] if what == "component" else run.record[what]["name"] for run in (one, other)]
        if pair[0] != pair[1]:
            yield ("method" if what == "component" else what), *pair
    mine, others = options(one), options(other)
    for name in dict.fromkeys((*mine, *others)):
        pair = [values.get(name, MISSING) for values in (mine, others)]
        if pair[0] != pair[1] and name not in allowed | HARMLESS:
            yield name, *pair
