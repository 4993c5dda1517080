"""Carrying out a method: from options to a finished run folder, or to one that the same command continues."""

from __future__ import annotations

import contextlib
import platform
import subprocess
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from widenet.components import Component, Settings
from widenet.errors import Stopped, UsageError, WnError
from widenet.options import canonical, changed, effective
from widenet.plugins import Registry
from widenet.runs import Reporter, Run, folder, set_aside, writing

SCHEMA = 1


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

    def record(self) -> dict[str, Any]:
        """A new ``run.json``."""
        owner = self.registry.plugins[self.method.plugin]
        return {
            "schema": SCHEMA,
            "component": self.method.full_name,
            "plugin": owner.name,
            "version": owner.version,
            "arch": {"name": self.model.full_name, "options": effective(self.model_config)},
            "dataset": {"name": self.data.full_name, "options": effective(self.data_config)},
            "options": {
                name: {"value": value, "source": self.sources.get(name, "default")}
                for name, value in effective(self.config).items()
            },
            "seed": self.settings.seed,
            "parents": [str(self.parent.name)] if self.parent else [],
            "status": "new",
            "started": now(),
            "host": platform.node(),
            "versions": versions(),
            "commit": commit(),
            "argv": list(self.argv),
            "result": {},
            "error": "",
        }


def prepare(plan: Plan) -> tuple[Any, Any, Any]:
    """Network, data and device for a plan; the network is fresh, or the parent run's.

    Raises:
        UsageError: the architecture does not permit the data's shape, or the parent's network does not fit the data.
        WnError: the data cannot be had.
    """
    import torch

    from widenet import opening

    device = opening.device(plan.settings.device)
    data = plan.data.function(plan.settings.data_dir, plan.data_config).to(device)
    if plan.parent is not None:
        fits = (list(data.shape), data.classes) == (list(plan.parent.record["shape"]), plan.parent.record["classes"])
        if not fits:
            raise UsageError(f"--from {plan.parent.name} was made for other images or classes than {plan.data.name} has")
        net = opening.network(plan.registry, plan.parent)
    else:
        torch.manual_seed(Run(Path(), {"seed": plan.settings.seed}).seed_for("model"))
        net = plan.model.function(data.shape, data.classes, plan.model_config)
    return net.to(device).to(memory_format=torch.channels_last), data, device


def carry_out(plan: Plan, reporter: Reporter, fresh: bool = False) -> tuple[Run, bool]:
    """Run the plan, continue it, or find it done; returns the run and whether anything was left to do.

    Raises:
        UsageError: another process writes the run, or a default has moved since it was made.
        Stopped: SIGTERM or SIGUSR1; the last finished epoch is safe.
        WnError: it failed; the reason is in ``run.json``, the traceback in ``log.txt``.
    """
    with writing(plan.path):
        if fresh and (plan.path / "run.json").exists():
            moved = set_aside(plan.path)
            reporter.say(f"the earlier run is now {moved}")
        run = _open(plan, reporter)
        if run.record["status"] == "finished":
            return run, False
        with outcome(run, plan.method):
            _work(plan, run)
    for failure in plan.registry.emit("finished", run=run):
        run.say(failure)
    return run, True


def _open(plan: Plan, reporter: Reporter) -> Run:
    """The run as it stands on disk, or a new one."""
    if not (plan.path / "run.json").exists():
        return Run(plan.path, plan.record(), reporter=reporter, registry=plan.registry)
    run = Run.open(plan.path, reporter=reporter, registry=plan.registry)
    then = {name: entry["value"] for name, entry in run.record["options"].items()}
    before = {"method": then, "arch": run.record["arch"]["options"], "dataset": run.record["dataset"]["options"]}
    for part, values in plan.options().items():
        for name, value in values.items():
            if name in before[part] and canonical(before[part][name]) != canonical(value):
                raise UsageError(
                    f"{run.path} was made with {part} option {name}={before[part][name]}, whose default is now {value}; "
                    f"use --fresh to make it anew, or give the option"
                )
    return run


def _work(plan: Plan, run: Run) -> None:
    from widenet.masks import masks, plain_state
    from widenet.train import checkpoint
    from widenet.train.process import tune_process

    began = time.perf_counter()
    # Metrics beyond the last checkpoint belong to work that will be done again.
    saved = checkpoint.load(run)
    run.rewind(saved["lines"] if saved else 0)
    environment = tune_process(plan.settings.threads, getattr(plan.config, "deterministic", False))
    net, data, run.device = prepare(plan)
    environment |= {"device": str(run.device), "layout": "channels_last", "dtype": "float32"}
    environment |= {"amp": getattr(plan.config, "amp", False), "compile": getattr(plan.config, "compile", False)}
    run.record |= {"shape": list(data.shape), "classes": data.classes, "environment": environment}
    run.record |= {"parameters": sum(parameter.numel() for parameter in net.parameters())}
    run.save()
    result = dict(plan.method.function(run, net, data, plan.config) or {})
    run.save_weights("final", plain_state(net))
    if found := masks(net):
        run.save_masks("final", found)
        result.setdefault("kept", sum(int(m.sum()) for m in found.values()) / sum(m.numel() for m in found.values()))
    tested = [line["test/accuracy"] for line in run.metrics() if line.get("test/accuracy") is not None]
    run.record["result"] = {**({"test_accuracy": tested[-1]} if tested else {}), **result}
    run.record["seconds"] = round(run.record.get("seconds", 0) + time.perf_counter() - began, 1)


@contextlib.contextmanager
def outcome(run: Run, component: Component) -> Iterator[None]:
    """Keep ``run.json`` true to what becomes of the block: running, finished, stopped, interrupted or failed."""
    run.record |= {"status": "running", "error": ""}
    run.save()
    try:
        yield
        run.record |= {"status": "finished", "finished": now()}
        run.save()
    except BaseException as error:
        status = "stopped" if isinstance(error, Stopped) else "failed" if isinstance(error, Exception) else "interrupted"
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        run.record |= {"status": status, "error": str(error) if isinstance(error, WnError) else reason}
        # A full disk must not hide the error that it caused.
        with contextlib.suppress(WnError):
            run.save()
            run.note(traceback.format_exc())
        if isinstance(error, WnError) or not isinstance(error, Exception):
            raise
        raise WnError(
            f"{component.full_name} failed ({reason}): a bug, please report it to the authors of plugin "
            f"{component.plugin}; the traceback is in {run.out / 'log.txt'}"
        ) from error


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
