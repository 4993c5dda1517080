"""Metrics for Weights & Biases: ``wn --plugin wandb_logger.py run ...`` logs every run there, under the name of its folder.

W&B's own variables hold (WANDB_PROJECT, WANDB_MODE=offline, ...). A run that is continued here is continued there; one that
``--fresh`` makes anew is another one there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from widenet import hookimpl
from widenet.compare import settings
from widenet.errors import UsageError

if find_spec("wandb") is None:
    raise UsageError("it needs Weights & Biases: pip install wandb")

OPEN: dict[Any, Any] = {}
"""W&B's run of each of ours, by its folder: a process may carry out several side by side."""


@hookimpl
def logged(run: Any, values: Mapping[str, Any]) -> None:
    """Send the line."""
    if run.path not in OPEN:
        _start(run)  # the line is among those of the run by now
    else:
        OPEN[run.path].log(_numbers(values), step=run.lines())


@hookimpl
def finished(run: Any) -> None:
    """Send the result, and close."""
    if run.path not in OPEN:
        _start(run)
    there = OPEN.pop(run.path)
    there.summary.update(_numbers(run.record["result"]))
    there.finish()


def _start(run: Any) -> None:
    """Begin or continue W&B's run, and send the lines so far that it does not have."""
    import wandb

    there = OPEN[run.path] = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "widenet"),
        id=re.sub(r"[^\w-]+", "-", f"{run.name}-{run.record['started']}"),
        resume="allow",
        name=run.name,
        group=run.path.parent.name,  # its seeds
        config={**settings(run), "seed": run.seed},
        dir=run.path,
        reinit="create_new",
    )
    there.define_metric("*", step_metric="step")
    # A line's number is its place there: W&B takes none smaller than the last, and the steps of a second loop begin anew.
    for number, line in enumerate(run.metrics(), 1):
        if number >= there.step:
            there.log(_numbers(line), step=number)


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if isinstance(value, (int, float))}
