"""What is to be run, resolved and checked, and what its record says of the world it is run in."""

from __future__ import annotations

import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import attrs

from widenet.components import Component, Settings
from widenet.files import fingerprint
from widenet.options import COMMAND_LINE, changed, effective
from widenet.plugins import Registry
from widenet.runs import SCHEMA, Run, folder


@attrs.frozen
class Plan:
    """Everything that decides a run, resolved and checked: components, their options, settings and where each came from."""

    registry: Registry
    method: Component
    config: Any
    model: Component
    model_config: Any
    data: Component
    data_config: Any
    settings: Settings
    sources: dict[str, str]
    parent: Run | None = None
    argv: tuple[str, ...] = ()
    loaded: dict[str, Any] = attrs.field(factory=dict, eq=False, repr=False)
    """The data, once they are there, under the device they lie on: plans that differ in their seed share them."""

    def with_seed(self, seed: int, argv: tuple[str, ...]) -> Plan:
        """The same plan from another seed, as the command ``argv`` would make it."""
        sources = {**self.sources, "seed": COMMAND_LINE}
        return attrs.evolve(self, settings=attrs.evolve(self.settings, seed=seed), argv=argv, sources=sources)

    @property
    def identity(self) -> dict[str, Any]:
        """What the folder's name is a function of: full names and options that differ from their defaults."""
        parts = {
            "method": {"name": self.method.full_name, "options": changed(self.config)},
            "arch": {"name": self.model.full_name, "options": changed(self.model_config)},
            "dataset": {"name": self.data.full_name, "options": changed(self.data_config)},
        }
        return {**parts, "from": self.parent.name} if self.parent else parts

    @property
    def path(self) -> Path:
        """The run's folder."""
        return folder(self.settings.runs_dir, self.identity, self.settings.seed)

    def options(self) -> dict[str, Any]:
        """Every effective option of method, network and data."""
        return {
            "method": effective(self.config),
            "arch": effective(self.model_config),
            "dataset": effective(self.data_config),
        }

    def inputs(self) -> dict[str, str]:
        """What the options name but do not hold, each with what differs once it has changed: files, and the parent run."""
        found = files_of(self.config, self.model_config, self.data_config, runs=self.settings.runs_dir)
        return found | ({self.parent.name: self.parent.record.get("finished", "")} if self.parent else {})

    def _source(self, part: str) -> str:
        """The layer that said which network, data or seed; of a network that another run made, that run."""
        source = self.sources.get(part, "default")
        preset = source == "default" or source.startswith("preset ")
        return f"run {self.parent.name}" if self.parent and part != "seed" and preset else source

    def record(self) -> dict[str, Any]:
        """A new ``run.json``."""
        owner = self.registry.plugins[self.method.plugin]
        return {
            "schema": SCHEMA,
            "name": f"{self.path.parent.name}/{self.path.name}",
            "component": self.method.full_name,
            "plugin": owner.name,
            "version": owner.version,
            "arch": {"name": self.model.full_name, "options": effective(self.model_config)},
            "dataset": {"name": self.data.full_name, "options": effective(self.data_config)},
            "options": {
                name: {"value": value, "source": self.sources.get(name, "default")}
                for name, value in effective(self.config).items()
            },
            "sources": {part: self._source(part) for part in ("arch", "dataset", "seed")},
            "seed": self.settings.seed,
            "parents": [self.parent.name] if self.parent else [],
            "inputs": self.inputs(),
            "status": "new",
            "started": now(),
            "host": platform.node(),
            "versions": versions(),
            "commit": commit(),
            "argv": list(self.argv),
            "result": {},
            "error": "",
        }


def files_of(*configs: Any, runs: Path | None = None) -> dict[str, str]:
    """The files that options name, and the records of the runs that they name, each with its fingerprint.

    A path that does not exist is also looked for in ``runs``, as the command line does with names of runs.
    """
    values = [value for config in configs for value in attrs.asdict(config, recurse=False).values()]
    named = [path for value in values for path in (value if isinstance(value, tuple) else [value]) if isinstance(path, Path)]
    paths = [path if path.exists() or runs is None else runs / path for path in named]
    return {str(file): fingerprint(file) for path in paths for file in _files_at(path)}


def _files_at(path: Path) -> list[Path]:
    """The file, the record of the run in the folder, or those of its seeds."""
    if path.is_file():
        return [path]
    return [path / "run.json"] if (path / "run.json").is_file() else sorted(path.glob("seed-*/run.json"))


def now() -> str:
    """Local time to the second, ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def versions() -> dict[str, str]:
    """Versions of what results depend on."""
    from importlib.metadata import version

    names = ("widenet", "torch", "torchvision", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def commit() -> str:
    """The git commit of the folder worked in, with ``+`` where files have changed since; empty outside a repository."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()
