"""Conformance: what any plugin must do, checked by ``wn check-plugin`` and callable from a plugin's own tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from widenet.components import Analysis, Component, Method, Model
from widenet.errors import UsageError
from widenet.loading import load
from widenet.options import nearest, options
from widenet.plugins import Registry

ARCH, DATASET = "core/conv2:width=0.1", "core/tiny"
SHAPES = ((1, 16, 16), (3, 32, 32), (3, 224, 224))
KILLER = '''"""Kill the process, as a scheduler or the kernel would, when its second epoch is logged."""
import os, signal
from widenet import hookimpl

@hookimpl
def logged(run, values):
    if values.get("epoch") == 2:
        os.kill(os.getpid(), signal.SIGKILL)
'''


@attrs.frozen
class Finding:
    """One check on one thing: passed where ``fault`` is empty."""

    check: str
    subject: str
    fault: str = ""


def faults(name: str, files: Sequence[Path] = ()) -> list[Finding]:
    """What is wrong with the plugin; a plugin's own tests assert that this is empty."""
    return [finding for finding in findings(name, files) if finding.fault]


def findings(name: str, files: Sequence[Path] = ()) -> Iterator[Finding]:
    """Carry out every check on the installed plugin ``name``, or the one loaded from a file of that name.

    Raises:
        UsageError: there is no such plugin.
    """
    registry = load(files)
    if name not in registry.plugins:
        raise UsageError(f"no plugin {name!r} is installed{nearest(name, registry.plugins)}")
    alone = _listed(name, files, only=name if not files else "core")
    beside = _listed(name, files)
    yield Finding("loads alone", name, alone.get("why", "") if alone.get("status") == "broken" else "")
    yield Finding("loads beside the others", name, beside.get("why", "") if beside.get("status") == "broken" else "")
    if registry.plugins[name].error:
        return
    yield Finding("loads fast, nothing heavy imported", name, beside["why"])
    for component in registry.plugins[name].components:
        yield from _declared(registry, component)
    with tempfile.TemporaryDirectory() as folder:
        yield from _works(registry.plugins[name].components, files, Path(folder))


def _declared(registry: Registry, component: Component) -> Iterator[Finding]:
    subject = f"{component.kind} {component.name}"
    same = [c.full_name for c in registry.components(type(component)) if c.name == component.name]
    yield Finding("has a name of its own", subject, f"clash of {', '.join(same)}" if len(same) > 1 else "")
    yield Finding("says what it does", subject, "" if component.summary else "its function has no docstring")
    silent = [option.name for option in options(component.config) if not option.help]
    yield Finding("every option has help and a valid default", subject, f"no help: {', '.join(silent)}" if silent else "")


def _works(components: Sequence[Component], files: Sequence[Path], folder: Path) -> Iterator[Finding]:
    runs = []
    for component in components:
        if isinstance(component, Model):
            yield Finding("maps a batch to logits", f"model {component.name}", _model_fault(component))
        elif isinstance(component, Method):
            base = folder / component.name
            yield from _method(component, files, base)
            runs += _folders(base / "first")
    analyses = [component for component in components if isinstance(component, Analysis)]
    if analyses and not runs:
        _wn(
            ["run", "core/train", "--arch", ARCH, "--dataset", DATASET, "--epochs", "1"],
            folder / "core" / "first",
            files,
        )
        runs = _folders(folder / "core" / "first")
    for analysis in analyses:
        yield Finding("yields flat rows", f"analysis {analysis.name}", _analysis_fault(analysis, runs, files))


def _model_fault(model: Component) -> str:
    import torch

    if any(option.required for option in options(model.config)):
        return ""
    for shape in SHAPES:
        try:
            net = model.function(shape, 5, model.config())
        except UsageError as error:
            fault = str(error)
            continue
        found = tuple(net.eval()(torch.zeros(2, *shape)).shape)
        return "" if found == (2, 5) else f"gave {found} for 2 inputs and 5 classes"
    return fault


def _method(method: Component, files: Sequence[Path], base: Path) -> Iterator[Finding]:
    """Two epochs, twice; killed in the second and resumed; masks that fit."""
    from widenet.opening import network
    from widenet.runs import Run

    subject = f"method {method.name}"
    words = ["run", method.full_name, "--arch", ARCH, "--dataset", DATASET, "--threads", "1"]
    if any(option.name == "epochs" for option in options(method.config)):
        words += ["--epochs", "2"]
    if any(option.required for option in options(method.config)):
        if "check" not in method.presets:
            yield Finding("runs", subject, "it has required options: give it a preset called 'check' that sets them")
            return
        words += ["--preset", "check"]
    problem = _wn(words, base / "first", files)
    yield Finding("runs two epochs on tiny", subject, problem)
    if problem:
        return
    again = _wn(words, base / "second", files)
    yield Finding("gives the same twice", subject, again or _difference(base / "first", base / "second"))
    killer = base / "killer.py"
    killer.write_text(KILLER)
    _wn(words, base / "killed", [*files, killer])
    resumed = _wn(words, base / "killed", files)
    yield Finding("killed and resumed gives the same", subject, resumed or _difference(base / "first", base / "killed"))
    try:
        network(load(files), Run.open(_folders(base / "first")[0]))
        fit = ""
    except Exception as error:
        fit = str(error)
    yield Finding("its weights and masks fit its network", subject, fit)


def _analysis_fault(analysis: Component, runs: Sequence[Path], files: Sequence[Path]) -> str:
    """Empty if the analysis yields rows on at least one run and fails on none."""
    fault = "it yields no row on any run"
    for run in runs:
        words = ["analyze", analysis.full_name, str(run), "--quiet", "--json"]
        answer = _process(words, run.parent.parent, files)
        if "a bug" in answer.stderr:
            return answer.stderr.strip()
        if answer.returncode == 0 and json.loads(answer.stdout):
            fault = ""
        elif answer.returncode and fault:
            fault = answer.stderr.strip()
    return fault


def _difference(one: Path, other: Path) -> str:
    """What differs between the runs below two folders: weights, masks or metrics (but for times)."""
    import numpy as np
    import torch

    from widenet.runs import Run

    first, second = (Run.open(_folders(root)[0]) for root in (one, other))
    a, b = first.weights(), second.weights()
    unequal = [name for name in a if name not in b or not torch.equal(a[name], b[name])]
    if unequal or a.keys() != b.keys():
        return f"weights differ: {', '.join(unequal or sorted(a.keys() ^ b.keys()))}"
    if first.has_masks() != second.has_masks():
        return "masks differ"
    if first.has_masks():
        masks, others = first.masks(), second.masks()
        if masks.keys() != others.keys() or any(not np.array_equal(masks[name], others[name]) for name in masks):
            return "masks differ"
    lines = [[{k: v for k, v in line.items() if k != "seconds"} for line in run.metrics()] for run in (first, second)]
    return "" if lines[0] == lines[1] else "metrics differ"


def _folders(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.glob("*/seed-*/run.json"))


def _listed(name: str, files: Sequence[Path], only: str | None = None) -> dict[str, Any]:
    """The plugin's row in ``wn list-plugins``, from a process of its own."""
    environment = {} if only is None else {"WN_PLUGINS": only}
    answer = _process(["list-plugins", "--json"], Path(), files, environment)
    rows = json.loads(answer.stdout) if answer.returncode == 0 else []
    return next((row for row in rows if row["plugin"] == name), {"status": "broken", "why": answer.stderr.strip()})


def _wn(words: Sequence[str], root: Path, files: Sequence[Path]) -> str:
    """Run ``wn`` quietly with results below ``root``; returns its last words if it failed."""
    answer = _process([*words, "--quiet", "--runs-dir", str(root)], root, files)
    return "" if answer.returncode == 0 else answer.stderr.strip() or f"exit code {answer.returncode}"


def _process(
    words: Sequence[str], folder: Path, files: Sequence[Path], environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    folder.mkdir(parents=True, exist_ok=True)
    front = [word for file in files for word in ("--plugin", str(Path(file).resolve()))]
    command = [sys.executable, "-m", "widenet", *front, *words]
    return subprocess.run(command, cwd=folder, env={**os.environ, **(environment or {})}, capture_output=True, text=True)
