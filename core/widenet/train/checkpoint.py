"""The newest state of a training loop, enough to continue it bit for bit."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from widenet.errors import WnError
from widenet.files import whole
from widenet.runs import Run, ranks
from widenet.weights import load_tensors, save_tensors

SCHEMA = 1


def save(
    run: Run, fit: int, epoch: int, net: nn.Module, optimiser: torch.optim.Optimizer, best: Mapping[str, Any] | None = None
) -> None:
    """Write ``checkpoint.pt``, whole or not at all: loop number, epochs done, network, optimiser, best epoch, lines of metrics.

    The last state of an earlier loop stays beside it, as ``checkpoint-<loop>.pt``. Of processes that train together, whose
    states are equal, the leading one writes.

    Raises:
        WnError: a trained parameter is no longer finite (the state saved before stays), or the disk is full.
    """
    if not all(bool(p.isfinite().all()) for p in net.parameters() if p.requires_grad):
        raise WnError(
            f"the weights are no longer finite after epoch {epoch}; lower --lr or raise --warmup "
            "(checkpoint.pt, if there is one, holds the state before it)"
        )
    if not ranks.leading():
        return
    content = {
        "schema": SCHEMA,
        "fit": fit,
        "epoch": epoch,
        "net": net.state_dict(),
        "optimiser": optimiser.state_dict(),
        "best": dict(best or {}),
        "lines": run.lines(),
        "random": random_state(),
    }
    newest = _newest(run)
    if fit > 0 and epoch == 1 and newest.exists():
        with whole(_of_loop(run, fit - 1)) as file:
            file.write(newest.read_bytes())
    save_tensors(newest, content)


def load(run: Run) -> dict[str, Any] | None:
    """The state to continue from, or None where nothing was saved.

    That is the newest one; in a loop (``run.fits`` counts them) that a later one has followed, its own last.

    Raises:
        WnError: the file is damaged, wants to run code, or is none of ours.
    """
    if not _newest(run).exists():
        return None
    content = _read(_newest(run))
    loop = run.fits - 1
    if 0 <= loop < content["fit"]:
        # The metrics are cut back to what the newest state covers, whichever loop it is of.
        return {**_read(_of_loop(run, loop)), "lines": content["lines"]}
    return content


def restore(run: Run, content: dict[str, Any], net: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Put a checkpoint's state into ``net``, ``optimiser`` and the random streams, and cut the metrics back to it.

    Raises:
        WnError: the state does not fit the network: the method's code has changed since.
    """
    try:
        net.load_state_dict(content["net"])
        optimiser.load_state_dict(content["optimiser"])
        set_random_state(content["random"])
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WnError(f"{_newest(run)} does not fit this network ({reason}); use --fresh") from error
    run.rewind(content["lines"])


def _newest(run: Run) -> Path:
    return run.path / "checkpoint.pt"


def _of_loop(run: Run, loop: int) -> Path:
    return run.path / f"checkpoint-{loop}.pt"


def _read(path: Path) -> dict[str, Any]:
    content = load_tensors(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise WnError(f"{path} is no checkpoint of this version of widenet; repeat the run with --fresh")
    return content


def random_state() -> dict[str, Any]:
    """Where the global streams stand: every epoch is seeded anew, but a method may draw from them after the last."""
    numpy: Any = np.random.get_state()  # noqa: NPY002 - the global stream is meant
    kind, words, *rest = numpy
    state: dict[str, Any] = {"torch": torch.get_rng_state(), "python": random.getstate()}
    state["numpy"] = (kind, torch.from_numpy(words.astype(np.int64)), *rest)
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Put the global streams where :func:`random_state` found them."""
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    kind, words, *rest = state["numpy"]
    np.random.set_state((kind, words.numpy(), *rest))  # noqa: NPY002
    if "cuda" in state and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])
