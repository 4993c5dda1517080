"""From what ``wn run METHOD`` is given to a plan, and from options back to the words of the command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from widenet.cli.common import layered
from widenet.components import Component, Dataset, Model, Settings
from widenet.errors import UsageError
from widenet.opening import choose, recorded
from widenet.options import options, text
from widenet.plan import Plan
from widenet.plugins import Registry
from widenet.runs import Run, find


def plan_for(
    registry: Registry,
    method: Component,
    config: Any,
    settings: Settings,
    sources: dict[str, str],
    origin: str | None,
    argv: Sequence[str],
) -> Plan:
    """The plan for a fresh network, or for that of the run ``origin``, whose data it then takes as well.

    Raises:
        UsageError: an unknown network, data set or run, a wrong option of one, or a network asked for beside ``origin``.
    """
    parent = Run.open(find(origin, settings.runs_dir)) if origin else None
    # A preset's network and data are those of its experiment, not a wish about this run.
    asked = {field for field in ("arch", "dataset") if not sources.get(field, "preset ").startswith("preset ")}
    if parent is not None and "arch" in asked:
        raise UsageError("--from takes the network of that run; leave --arch out")

    def part(kind: type[Component], field: str) -> tuple[Component, Any]:
        if parent is None or field in asked:
            return choose(registry, kind, getattr(settings, field))
        return recorded(registry, kind, parent.record[field])

    return Plan(
        registry, method, config, *part(Model, "arch"), *part(Dataset, "dataset"), settings, sources, parent, tuple(argv)
    )


def planned(registry: Registry, method: Component, given: Mapping[str, Any], words: Sequence[str]) -> Plan:
    """The plan that ``wn run METHOD`` makes of these options, by their names with underscores.

    Raises:
        UsageError: as :func:`plan_for`, or a wrong option of the method or of the command.
    """
    own = {key: value for key, value in given.items() if key not in ("preset", "config", "from")}
    config, settings, sources = layered(method, own, given.get("preset"), given.get("config"), quiet=True)
    return plan_for(registry, method, config, settings, sources, given.get("from"), words)


def words_for(registry: Registry, method: Component, given: Mapping[str, Any], front: Sequence[str] = ()) -> list[str]:
    """The words after ``wn`` that give these options to ``wn run METHOD``, in the order given; ``front`` stands before all."""
    return [*front, "run", registry.shown(method), *flags_for(method, given)]


def flags_for(component: Component, given: Mapping[str, Any]) -> list[str]:
    """These options of a component and of the command as words of a command line."""
    known = (*options(component.config), *options(Settings))
    switches = {option.name for option in known if option.type is bool and not option.many}
    words = []
    for name, value in given.items():
        flag = name.replace("_", "-")
        if name in switches and text(value) in ("true", "false"):
            words.append(f"--{flag}" if text(value) == "true" else f"--no-{flag}")
        else:
            words += [f"--{flag}", text(value)]
    return words
