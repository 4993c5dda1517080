"""From a run's record back to its network and its data, whatever plugin made it; torch is imported only when one is made."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widenet.components import Component, Dataset, Model
from widenet.errors import UsageError, WnError
from widenet.files import FULL, explain
from widenet.options import build, resolve, split_spec
from widenet.plugins import Registry
from widenet.runs import Run, ranks

if TYPE_CHECKING:
    import torch
    from torch import nn


def choose(registry: Registry, kind: type[Component], spec: str) -> tuple[Component, Any]:
    """The component and its options meant by ``NAME:key=value,key=value``.

    Raises:
        UsageError: unknown name or option, bad value.
        BrokenPlugin: the plugin that has it could not be loaded.
    """
    name, values = split_spec(spec)
    component = registry.find(kind, name)
    where = f"{kind.kind} {name}"
    return component, build(component.config, resolve(component.config, values, where), where)


def recorded(registry: Registry, kind: type[Component], entry: dict[str, Any]) -> tuple[Component, Any]:
    """The component and its options that a record names.

    Raises:
        UsageError: it is not installed here, or no longer takes these options.
    """
    component = registry.find(kind, entry["name"])
    where = f"{kind.kind} {entry['name']} as recorded"
    return component, build(component.config, resolve(component.config, entry["options"], where), where)


def made(component: Component, *arguments: Any) -> Any:
    """What a model's or data set's function makes of the arguments.

    Raises:
        WnError: its own, or one that names the plugin where the function fails otherwise.
    """
    try:
        return component.function(*arguments)
    except Exception as error:
        if isinstance(error, WnError) or os.environ.get("WN_STRICT"):
            raise
        raise failure(component, error, "WN_STRICT=1 shows where") from error


def failure(component: Component, error: BaseException, where: str) -> WnError:
    """The line for an exception that a component let through; ``where`` says how to see more."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    if isinstance(error, OSError) and error.errno in FULL:
        return explain(error, Path(error.filename or "a file"))
    # By name: torch, whose class it is, may not be loaded.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in reason:
        smaller = "lower --batch-size or choose a smaller network or data set"
        return WnError(f"{component.full_name} is out of memory ({reason}); {smaller}")
    plugin = component.plugin
    return WnError(f"{component.full_name} failed ({reason}): a bug, please tell the authors of plugin {plugin}; {where}")


def device(name: str) -> torch.device:
    """The device meant by ``--device``; of several processes on a machine's GPUs, each has its own.

    Raises:
        UsageError: no such device here.
    """
    import torch

    if ranks.count() > 1:
        return _own_device(name)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
        torch.empty(1, device=found).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UsageError(f"--device {name} cannot be used here ({reason}); --device cpu always works") from None
    return found


def _own_device(name: str) -> torch.device:
    """The device of one of several processes.

    Raises:
        UsageError: it is not ``cpu``, and this process has no GPU of its own.
    """
    import torch

    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if name not in ("auto", "cuda"):
        raise UsageError(
            f"--device {name} cannot be shared by several processes; use cuda, of which each takes its own, or cpu"
        )
    if ranks.local() >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise UsageError(
            f"{found} GPUs are too few for these processes; start as many (--nproc-per-node {found}), or use --device cpu"
        )
    torch.cuda.set_device(ranks.local())
    return torch.device("cuda", ranks.local())


def check_final(run: Run) -> None:
    """Refuse a run that has no result to start from or to analyse.

    Raises:
        UsageError: it is not finished.
    """
    if run.record["status"] != "finished" or not (run.path / "weights" / "final.pt").is_file():
        again = f"wn {shlex.join(run.record['argv'])}"
        raise UsageError(f"{run.name} is not finished, it has no final weights yet; run it to its end first: {again}")


def untrained(registry: Registry, run: Run) -> nn.Module:
    """The run's network as it was before training: the weights drawn from its seed.

    Raises:
        UsageError: the run began from another run's network, or its architecture is no longer installed.
    """
    if run.record.get("parents"):
        raise UsageError(f"{run.name} began from {run.record['parents'][0]}, so it has no untrained network of its own")
    run.seed_everything("model")
    return _built(registry, run)


def _built(registry: Registry, run: Run) -> nn.Module:
    model, options = recorded(registry, Model, run.record["arch"])
    net: nn.Module = made(model, tuple(run.record["shape"]), run.record["classes"], options)
    return net


def network(registry: Registry, run: Run, tag: str = "final") -> nn.Module:
    """The run's network with the weights and masks saved under ``tag``, the masks as :class:`~widenet.masks.Fixed`.

    Raises:
        WnError: the run saved none, a file is damaged, or the weights do not fit the architecture.
    """
    net = _built(registry, run)
    try:
        net.load_state_dict(run.weights(tag))
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise WnError(
            f"the weights of {run.name} do not fit {run.record['arch']['name']} ({reason[:200]}); use --fresh"
        ) from error
    if run.has_masks(tag):
        _mask(net, run, tag)
    return net


def _mask(net: nn.Module, run: Run, tag: str) -> None:
    """Attach the masks saved under ``tag``.

    Raises:
        UsageError: a mask has no layer, or not its layer's shape.
    """
    import torch

    from widenet.masks import Fixed, attach, places

    masks = run.masks(tag)
    unknown = sorted(masks.keys() - {name for name, _, _ in places(net, biases=True)})
    try:
        if unknown:
            raise ValueError(f"it has no layer {unknown[0]!r}")
        attach(net, lambda name, _: Fixed(torch.from_numpy(masks[name])) if name in masks else None, biases=True)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"the masks of {run.name} do not fit its network ({error}); make that run anew with --fresh"
        ) from error


def dataset(registry: Registry, run: Run, root: Path, workers: int, where: torch.device) -> Any:
    """The :class:`~widenet.data.Data` that a run was trained on, on the device: of the training split what it kept."""
    component, options = recorded(registry, Dataset, run.record["dataset"])
    kept = {name: run.record["options"].get(name, {}).get("value", 0) for name in ("per_class", "val")}
    return parted(made(component, root, options).to(where, workers), run, **kept)


def parted(data: Any, run: Run, per_class: int, val: float) -> Any:
    """The data with so many training samples of each class, if not 0, and this fraction of them set aside as ``val``.

    Raises:
        UsageError: a class has too few samples.
    """
    data = data.subset(per_class, run.generator("per-class")) if per_class else data
    return data.hold_out(val, run.generator("val")) if val else data


class Later:
    """Stands for an object that is made when its first attribute is asked for: data that an analysis may not need."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self._made: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            self._made = self._make()
        return getattr(self._made, name)
