"""Carrying out a method: from options to a finished run folder, or to one that the same command continues."""

from __future__ import annotations

import contextlib
import functools
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from widenet import opening
from widenet.components import Component
from widenet.errors import Stopped, UsageError, WnError
from widenet.files import writable
from widenet.options import canonical
from widenet.plan import Plan, now
from widenet.runs import Reporter, Run, check_free, discard, jsonable, ranks, set_aside, twin, writing


def prepare(plan: Plan) -> tuple[Any, Any, Any]:
    """Network, data and device for a plan; the network is fresh, or the parent run's.

    Raises:
        UsageError: the architecture does not permit the data's shape, or the parent's network does not fit the data.
        WnError: the data cannot be had.
    """
    from torch.nn.parameter import is_lazy

    from widenet.train.parallel import leading_first
    from widenet.train.process import placed

    device = opening.device(plan.settings.device)
    if plan.parent is not None:
        opening.check_final(plan.parent)
    if str(device) not in plan.loaded:
        with leading_first():
            found = opening.made(plan.data, plan.settings.data_dir, plan.data_config)
            plan.loaded[str(device)] = found.to(device, plan.settings.workers)
    fresh = Run(plan.path, {"seed": plan.settings.seed})
    kept = {name: getattr(plan.config, name, 0) for name in ("per_class", "val")}
    data = opening.parted(plan.loaded[str(device)], fresh, **kept)
    if plan.parent is not None:
        _check_fits(plan.parent, plan.data, data)
        net = opening.network(plan.registry, plan.parent)
    else:
        fresh.seed_everything("model")
        net = opening.made(plan.model, data.shape, data.classes, plan.model_config)
        if any(is_lazy(tensor) for tensor in [*net.parameters(), *net.buffers()]):
            raise WnError(f"{plan.model.full_name} has lazy layers; its function must pass a batch through before it returns")
    return placed(net, device), data, device


def _check_fits(parent: Run, component: Component, data: Any) -> None:
    then, shape = list(parent.record["shape"]), list(data.shape)
    if (shape, data.classes) != (then, parent.record["classes"]):
        raise UsageError(
            f"--from {parent.name} takes inputs of shape {then} in {parent.record['classes']} classes, {component.name} has "
            f"{shape} in {data.classes}; choose another --dataset, or leave it out to take that of the run"
        )


def carry_out(plan: Plan, reporter: Reporter, fresh: bool = False) -> tuple[Run, bool]:
    """Run the plan, continue it, or find it done; returns the run and whether anything was left to do.

    Nothing is written before network and data are there, so that a bad request leaves no trace. Of the processes that torchrun
    started, one leads: it alone writes the folder and reports; the run that the others return is of use to nobody.

    Raises:
        UsageError: another process writes the run, a default has moved since it was made, or the method refuses the request.
        Stopped: SIGTERM or SIGUSR1; the last finished epoch is safe.
        WnError: it failed; the reason is in ``run.json``, the traceback in ``log.txt``.
    """
    with _joined():
        run, new = _lead(plan, reporter, fresh) if ranks.leading() else _follow(plan)
    if new and ranks.leading():
        for failure in plan.registry.emit("finished", run=run):
            run.say(failure)
    return run, new


def side_by_side(plans: Sequence[Plan], reporters: Sequence[Reporter], fresh: bool = False) -> list[Any]:
    """Carry out several plans in this process, their epochs stacked where they permit it.

    Returns of each what :func:`carry_out` does, or the exception that ended it.

    Raises:
        Stopped: as there; every run has taken note of it.
    """
    from widenet.train import together

    pairs = zip(plans, reporters, strict=True)
    return together.side_by_side([functools.partial(carry_out, plan, reporter, fresh) for plan, reporter in pairs])


def _joined() -> AbstractContextManager[None]:
    """The other processes, joined for a block, where there are any."""
    if ranks.count() == 1:
        return contextlib.nullcontext()
    from widenet.train import parallel

    return parallel.joined()


def _told(record: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """The leading process's record of the run, if there is one, in every process."""
    if ranks.count() == 1:
        return record
    from widenet.train import parallel

    told: dict[str, Any] | None = parallel.from_leading(record)
    return told


def _lead(plan: Plan, reporter: Reporter, fresh: bool) -> tuple[Run, bool]:
    """Carry out the plan in its folder."""
    done = None if fresh else found(plan, reporter)
    _told(done.record if done else None)
    if done and done.finished:
        return done, False
    check_free(plan.path)
    from widenet.train.process import tune_process

    environment = tune_process(plan.settings.threads, getattr(plan.config, "deterministic", False))
    prepared = prepare(plan)
    with writing(plan.path):
        if fresh and plan.path.exists():
            with writable(plan.path):
                reporter.say(f"the earlier run is now {set_aside(plan.path)}")
        run = found(plan, reporter) or Run(plan.path, plan.record(), reporter=reporter, registry=plan.registry)
        _told(run.record)
        if run.finished:
            return run, False
        with _refusable(plan.path), outcome(run, plan.method):
            _work(plan, run, *prepared, environment)
    return run, True


def _follow(plan: Plan) -> tuple[Run, bool]:
    """Do as the leading process does, in a twin of the run's folder that is thrown away at the end."""
    from widenet.train.process import tune_process

    if (done := Run(plan.path, _told() or {})).finished:
        return done, False
    environment = tune_process(plan.settings.threads, getattr(plan.config, "deterministic", False))
    prepared = prepare(plan)
    if (done := Run(plan.path, _told() or {})).finished:
        return done, False
    with tempfile.TemporaryDirectory(prefix="wn-") as root:
        run = Run(twin(plan.path, Path(root)), done.record)
        with outcome(run, plan.method):
            _work(plan, run, *prepared, environment)
    return run, True


@contextlib.contextmanager
def _refusable(path: Path) -> Iterator[None]:
    """Leave no folder where the method refuses the request, unless there was one before or it holds work."""
    new = not path.exists()
    try:
        yield
    except UsageError:
        if new and not (path / "checkpoint.pt").exists():
            discard(path)
        raise


def found(plan: Plan, reporter: Reporter) -> Run | None:
    """The run as it stands on disk.

    Raises:
        UsageError: a default, or what the run was made from, has moved since it was made.
    """
    if not (plan.path / "run.json").exists():
        return None
    run = Run.open(plan.path, reporter=reporter, registry=plan.registry)
    own = {name: entry["value"] for name, entry in run.record["options"].items()}
    before = {"method": own, "arch": run.record["arch"]["options"], "dataset": run.record["dataset"]["options"]}
    for part, values in plan.options().items():
        for name, value in values.items():
            if name in before[part] and canonical(before[part][name]) != canonical(value):
                then = before[part][name]
                raise UsageError(
                    f"{run.path} was made when {part} option {name} was {then} by default, it is {value} now; "
                    f"give {name}={then} for another run like it, or --fresh to make this one anew"
                )
    then, now_ = run.record.get("inputs", {}), plan.inputs()
    if moved := [name for name, value in now_.items() if then.get(name, value) != value]:
        raise UsageError(f"{moved[0]} has changed since {run.path} was made from it; --fresh makes the run anew")
    return run


def _work(plan: Plan, run: Run, net: Any, data: Any, device: Any, environment: dict[str, Any]) -> None:
    from widenet.masks import masks, plain_state
    from widenet.train import checkpoint, parallel, together

    parallel.wait()  # until the others have their twins of the folder
    # Metrics beyond the last checkpoint belong to work that will be done again.
    saved = checkpoint.load(run)
    run.rewind(saved["lines"] if saved else 0)
    if saved and (lost := saved["lines"] - len(run.metrics())) > 0:
        run.say(f"metrics.jsonl has lost {lost} lines of epochs that are done; the run continues without them")
    environment |= {"device": str(device), "layout": "channels_last", "dtype": "float32"}
    environment |= {"amp": getattr(plan.config, "amp", False), "compile": getattr(plan.config, "compile", False)}
    environment |= {"processes": ranks.count()} if ranks.count() > 1 else {}
    environment |= {"stacked": together.company()} if together.company() > 1 else {}
    if saved:
        _note_changes(run, environment)
    run.device, run.data_dir, run.parent = device, plan.settings.data_dir, plan.parent
    run.record |= {"shape": list(data.shape), "classes": data.classes, "environment": environment}
    run.record |= {"parameters": sum(parameter.numel() for parameter in net.parameters())}
    run.save()
    run.seed_everything("method")
    result = dict(plan.method.function(run, net, data, plan.config) or {})
    # Weights last: where they are, the masks are too.
    if found := masks(net):
        run.save_masks("final", found)
    run.save_weights("final", plain_state(net))
    if found:
        result.setdefault("kept", sum(int(m.sum()) for m in found.values()) / sum(m.numel() for m in found.values()))
    run.record["result"] = jsonable({**_measured(run), **result})


def _measured(run: Run) -> dict[str, Any]:
    """What the metrics say of a run as a whole: the last accuracies, and those of the best epoch where one was chosen."""
    evaluated = [line for line in run.metrics() if line.get("test/accuracy") is not None]
    last = {
        f"test_{key}": evaluated[-1][f"test/{key}"]
        for key in ("accuracy", "top5")
        if evaluated and f"test/{key}" in evaluated[-1]
    }
    best = {f"best_{key.replace('/', '_')}": value for key, value in run.best.items() if not key.startswith("train")}
    return {**last, **best}


def _note_changes(run: Run, environment: dict[str, Any]) -> None:
    """Say what now differs from when the run was begun: bit-equality needs all of it equal."""
    before, after = ({"processes": 1, "stacked": 1, **found} for found in (run.record.get("environment", {}), environment))
    changes = [f"{key} {before[key]} -> {value}" for key, value in after.items() if before.get(key, value) != value]
    if changes:
        run.say(f"continuing with {', '.join(changes)}: results may differ in the last digits from an unbroken run")


@contextlib.contextmanager
def outcome(run: Run, component: Component) -> Iterator[None]:
    """Keep ``run.json`` true to what becomes of the block: running, finished, stopped, interrupted or failed."""
    began, before = time.perf_counter(), run.record.get("seconds", 0)
    run.record |= {"status": "running", "error": ""}
    run.save()
    try:
        yield
        run.record |= {"status": "finished", "finished": now(), "seconds": round(before + time.perf_counter() - began, 1)}
        run.save()
    except BaseException as error:
        status, failure = _failure(run, component, error)
        run.record |= {"status": status, "error": str(failure), "seconds": round(before + time.perf_counter() - began, 1)}
        # A full disk must not hide the error that it caused.
        with contextlib.suppress(WnError):
            run.save()
        with contextlib.suppress(WnError):
            run.note(traceback.format_exc())
        if failure is error:
            raise
        raise failure from error


def _failure(run: Run, component: Component, error: BaseException) -> tuple[str, BaseException]:
    """What an exception makes of a run, and the exception that says what to do."""
    if isinstance(error, Stopped):
        return "stopped", error
    if isinstance(error, WnError):
        return "failed", error
    if not isinstance(error, (Exception, SystemExit)):
        return "interrupted", error
    return "failed", opening.failure(component, error, f"the traceback is in {run.out / 'log.txt'}")
