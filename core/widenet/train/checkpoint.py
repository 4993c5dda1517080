"""The newest state of a training loop, enough to continue it bit for bit."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from widenet.errors import WnError
from widenet.runs import Run
from widenet.weights import load_tensors, save_tensors

SCHEMA = 1


def save(run: Run, fit: int, epoch: int, net: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Write ``checkpoint.pt``, whole or not at all: loop number, epochs done, network, optimiser, lines of metrics."""
    content = {
        "schema": SCHEMA,
        "fit": fit,
        "epoch": epoch,
        "net": net.state_dict(),
        "optimiser": optimiser.state_dict(),
        "lines": len(run.metrics()),
    }
    save_tensors(run.path / "checkpoint.pt", content)


def load(run: Run) -> dict[str, Any] | None:
    """What :func:`save` wrote last, or None where nothing was.

    Raises:
        WnError: the file is damaged, wants to run code, or is none of ours.
    """
    path = run.path / "checkpoint.pt"
    if not path.exists():
        return None
    content = load_tensors(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise WnError(f"{path} is no checkpoint of this version of widenet; repeat the run with --fresh")
    return content


def restore(run: Run, content: dict[str, Any], net: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Put a checkpoint's state into ``net`` and ``optimiser``, and cut the metrics back to what it covers.

    Raises:
        WnError: the state does not fit the network: the method's code has changed since.
    """
    try:
        net.load_state_dict(content["net"])
        optimiser.load_state_dict(content["optimiser"])
    except (RuntimeError, ValueError, KeyError) as error:
        reason = str(error).strip().split("\n")[0]
        raise WnError(f"{run.path / 'checkpoint.pt'} does not fit this network ({reason}); use --fresh") from error
    run.rewind(content["lines"])
