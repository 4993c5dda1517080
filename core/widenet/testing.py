"""Conformance: what any plugin must do, checked by ``wn check-plugin`` and callable from a plugin's own tests."""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from widenet.components import Analysis, Comparison, Component, Export, Method, Model
from widenet.errors import UsageError
from widenet.loading import load
from widenet.options import nearest, options
from widenet.plugins import Registry

ARCH, DATASET = "core/conv2:width=0.1", "core/tiny"
SWITCHES = ("WN_PLUGINS", "WN_STRICT")
SHAPES = ((1, 16, 16), (3, 32, 32), (3, 224, 224), (64,))
KILLER = '''"""Kill the process, as a scheduler or the kernel would, when its second epoch is logged."""
import os, signal
from widenet import hookimpl

@hookimpl
def logged(run, values):
    if values.get("epoch") == 2:
        os.kill(os.getpid(), signal.SIGKILL)
'''
MASKER = '''"""A method that leaves masks, for analyses to read."""
from widenet import Method, Train, hookimpl

def masked(run, net, data, config):
    """Train under random masks."""
    import torch
    from widenet.masks import Fixed, attach
    from widenet.train import fit

    attach(net, lambda name, weight: Fixed(torch.rand(weight.shape, generator=run.generator(name)) < 0.5))
    for _ in fit(run, net, data, config):
        pass

@hookimpl
def methods():
    yield Method("masked", masked, Train)
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
    alone = _listed(name, files, only="core" if files else name)
    if alone["status"] == "slow":
        alone = _listed(name, files, only="core" if files else name)  # the first time may have compiled its modules
    beside = _listed(name, files)
    for check, row in (("loads alone", alone), ("loads beside the others", beside)):
        yield Finding(check, name, row["why"] if row["status"] == "broken" else "")
    if "broken" in (alone["status"], beside["status"]):
        return
    yield Finding("loads fast, nothing heavy imported", name, alone["why"])
    for component in registry.plugins[name].components:
        yield from _declared(registry, component)
    with tempfile.TemporaryDirectory() as folder:
        yield from _works(registry.plugins[name].components, files, Path(folder))


def _declared(registry: Registry, component: Component) -> Iterator[Finding]:
    subject = f"{component.kind} {component.name}"
    same = [other.full_name for other in registry.namesakes(component)]
    yield Finding("has a name of its own", subject, f"clash of {', '.join(same)}" if len(same) > 1 else "")
    yield Finding("says what it does", subject, "" if component.summary else "its function has no docstring")
    silent = [option.name for option in options(component.config) if not option.help]
    yield Finding("every option has help and a valid default", subject, f"no help: {', '.join(silent)}" if silent else "")


def _works(components: Sequence[Component], files: Sequence[Path], folder: Path) -> Iterator[Finding]:
    runs: list[Path] = []
    for component in components:
        if isinstance(component, Model):
            yield Finding("maps a batch to logits", f"model {component.name}", _model_fault(component))
        elif isinstance(component, Method):
            base = folder / component.name
            yield from _method(component, files, base)
            runs += _folders(base / "first")
    if any(isinstance(component, (Analysis, Export)) for component in components):
        runs += _samples(runs, folder, files)
    pairs = [(run, _twin(run)) for run in runs] if any(isinstance(component, Comparison) for component in components) else []
    for component in components:
        if isinstance(component, Analysis):
            read = pairs if isinstance(component, Comparison) else [(run,) for run in runs]
            yield Finding("yields flat rows", f"analysis {component.name}", _analysis_fault(component, read, files))
        elif isinstance(component, Export):
            yield Finding("writes a file", f"export {component.name}", _export_fault(component, runs, files))


def _samples(runs: Sequence[Path], folder: Path, files: Sequence[Path]) -> list[Path]:
    """What ``runs`` lack for analyses to read: one without masks, one with."""
    from widenet.runs import Run

    (folder / "conformance.py").write_text(MASKER)
    there = {Run.open(run).has_masks() for run in runs}
    for masked, method in ((False, "core/train"), (True, "conformance/masked")):
        if masked not in there:
            words = ["run", method, "--arch", ARCH, "--dataset", DATASET, "--epochs", "1", "--save-every", "1"]
            _wn(words, folder / "samples", [*files, folder / "conformance.py"])
    return _folders(folder / "samples")


def _twin(run: Path) -> Path:
    """The run beside it, made now by the same command but for its seed: what a comparison compares it with."""
    from widenet.runs import Run

    forked([*Run.open(run).record["argv"], "--seed", "1"], run.parent.parent, ())
    return run.with_name("seed-1")


def _model_fault(model: Component) -> str:
    import torch

    fault = ""
    if any(option.required for option in options(model.config)):
        return fault
    for shape in SHAPES:
        try:
            net = model.function(shape, 5, model.config())
            found = tuple(net.eval()(torch.zeros(2, *shape)).shape)
        except UsageError as error:
            fault = str(error)
            continue
        except Exception as error:
            return f"fails on inputs of shape {shape}: {type(error).__name__}: {error}"
        return "" if found == (2, 5) else f"gives {found} for 2 inputs of shape {shape} and 5 classes"
    return fault


def _method(method: Component, files: Sequence[Path], base: Path) -> Iterator[Finding]:
    """Two epochs, twice; killed in the second and resumed; masks that fit."""
    from widenet.opening import network
    from widenet.runs import Run

    subject = f"method {method.name}"
    if fault := _lacks_preset(method):
        yield Finding("runs two epochs on tiny", subject, fault)
        return
    words = smallest(method, epochs=2)
    problem = _wn(words, base / "first", files)
    yield Finding("runs two epochs on tiny", subject, problem)
    if problem:
        return
    again = _wn(words, base / "second", files)
    yield Finding("gives the same twice", subject, again or _difference(base / "first", base / "second"))
    killer = base / "killer.py"
    killer.write_text(KILLER)
    code, _, _ = forked([*words, "--quiet", "--runs-dir", str(base / "killed")], base / "killed", [*files, killer])
    if code == -signal.SIGKILL:
        resumed = _wn(words, base / "killed", files)
        yield Finding("killed and resumed gives the same", subject, resumed or _difference(base / "first", base / "killed"))
    elif any(option.name == "epochs" for option in options(method.config)):
        yield Finding(
            "killed and resumed gives the same", subject, "it logged no second epoch, so it could not be killed in it"
        )
    try:
        network(load(files), Run.open(_folders(base / "first")[0]))
        fit = ""
    except Exception as error:
        fit = str(error)
    yield Finding("its weights and masks fit its network", subject, fit)


def _lacks_preset(component: Component) -> str:
    if "check" in component.presets or not any(option.required for option in options(component.config)):
        return ""
    return "it has required options: give it a preset called 'check' that sets them"


def smallest(method: Component, epochs: int) -> list[str]:
    """The words of ``wn`` for a small run of a method: its preset ``check`` if it has one, so many epochs if it trains."""
    words = ["run", method.full_name, *_place(method), "--threads", "1"]
    if any(option.name == "epochs" for option in options(method.config)):
        words += ["--epochs", str(epochs)]
    return words + _preset(method)


def _place(method: Component) -> list[str]:
    """Network and data, where its preset ``check`` does not name them."""
    chosen = method.presets.get("check", {})
    places = {"arch": ARCH, "dataset": DATASET}
    return [word for name, spec in places.items() if name not in chosen for word in (f"--{name}", spec)]


def _preset(component: Component) -> list[str]:
    return ["--preset", "check"] if "check" in component.presets else []


def _analysis_fault(analysis: Component, read: Sequence[Sequence[Path]], files: Sequence[Path]) -> str:
    """Empty if the analysis yields rows on at least one run (or pair), and on the others says at most why it cannot."""
    if fault := _lacks_preset(analysis):
        return fault
    fault = "it yields no row on any run"
    for runs in read:
        words = ["analyze", analysis.full_name, *map(str, runs), *_preset(analysis), "--quiet", "--json"]
        code, out, err = forked(words, runs[0].parent.parent, files)
        if "a bug" in err:
            return _reason(err)
        if code == 0 and json.loads(out):
            fault = ""
        elif code and fault:
            fault = _reason(err)
    return fault


def _export_fault(export: Component, runs: Sequence[Path], files: Sequence[Path]) -> str:
    """Empty if the export writes at least one run, and of the others says at most why it cannot."""
    if any(option.required for option in options(export.config)):
        return ""
    faults = []
    for run in runs:
        code, _, err = forked(["export", str(run), "--what", export.full_name], run.parent.parent, files)
        if "a bug" in err:
            return _reason(err)
        faults.append(_reason(err) if code else "")
    return "" if "" in faults else faults[0]


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
    """The plugin's row in ``wn list-plugins``, from a bare process, with all plugins or with ``only`` those."""
    environment = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    if only is not None:
        environment["WN_PLUGINS"] = only
    command = [sys.executable, "-m", "widenet", *_front(files), "list-plugins", "--json"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True)
    rows = json.loads(answer.stdout) if answer.returncode == 0 else []
    return next((row for row in rows if row["plugin"] == name), {"status": "broken", "why": answer.stderr.strip()})


def _wn(words: Sequence[str], root: Path, files: Sequence[Path]) -> str:
    """Run ``wn`` quietly with results below ``root``; returns what it said if it failed, and how to see more."""
    code, _, said = forked([*words, "--quiet", "--runs-dir", str(root)], root, files)
    return "" if code == 0 else f"{_reason(said) or f'exit code {code}'}; to see it: wn {shlex.join([*_front(files), *words])}"


def _reason(said: str) -> str:
    """What ``wn`` said, without the log that is gone when the check is done."""
    return said.removeprefix("wn: ").partition("; the traceback is in ")[0]


def forked(words: Sequence[str], folder: Path, files: Sequence[Path]) -> tuple[int | None, str, str]:
    """Exit code, stdout and stderr of ``wn`` in a process forked from one that has torch loaded: it starts in a moment."""
    from widenet.engines.local import LOADED

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as said:
        process = context.Process(target=_child, args=([*_front(files), *words], folder, Path(said)))
        process.start()
        process.join()
        out, err = ((Path(said) / name).read_text().strip() for name in ("out", "err"))
    return process.exitcode, out, err


def _child(words: list[str], folder: Path, said: Path) -> None:
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(said / name, os.O_CREAT | os.O_WRONLY), number)
    for switch in SWITCHES:
        os.environ.pop(switch, None)
    os.chdir(folder)
    sys.argv = ["wn", *words]
    runpy.run_module("widenet", run_name="__main__")


def _front(files: Sequence[Path]) -> list[str]:
    return [word for file in files for word in ("--plugin", str(Path(file).resolve()))]
