"""Training on several processes at once: each takes its part of every batch, and they reduce the gradients, no more.

All of them draw the same random numbers and make the same steps, so networks, scores and masks stay equal bit for bit without
being sent; :mod:`widenet.train.agreement` sees to what would part them. In a single process nothing here does anything.
"""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from widenet.data import cuts
from widenet.errors import INTERRUPTED, Stopped, WnError
from widenet.runs import ranks

GRACE = 5.0
"""Seconds that a process which cannot go on waits for torchrun to end it: as a rule the leading one has failed and said why."""


def world() -> int:
    """How many processes train together now."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Join the other processes for the block: by NCCL for what lies on GPUs, by gloo for all else.

    At its end they wait for each other, but not after an error. Of those that do not lead, one that is stopped exits without a
    word; one that fails gives the leading one, which as a rule fails alike, time to end the run.

    Raises:
        WnError: the others cannot be reached.
    """
    with reaching():
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
        wait()
    except BaseException as error:
        if not torch.cuda.is_initialized():  # NCCL would wait for processes that may never come
            dist.destroy_process_group()
        if not ranks.leading():
            _make_way(error)
        raise
    dist.destroy_process_group()


def _make_way(error: BaseException) -> None:
    """Leave it to the leading process to say what happened, where it can."""
    try:
        if isinstance(error, Exception) and not isinstance(error, Stopped):
            time.sleep(GRACE)
    except (Stopped, KeyboardInterrupt) as ended:
        error = ended
    if isinstance(error, Stopped):
        raise SystemExit(error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        raise SystemExit(INTERRUPTED)


@contextlib.contextmanager
def reaching() -> Iterator[None]:
    """Turn the failure of what processes do together into the line that says so.

    Raises:
        WnError: another process has ended, or cannot be reached.
    """
    try:
        yield
    except RuntimeError as error:
        time.sleep(GRACE)  # a signal that ended the other one comes here as well, and says more
        reason = " ".join(str(error).split())[:120]
        raise WnError(f"another process of the run has ended or cannot be reached ({reason}); see what it said") from error


# -- what processes tell each other ------------------------------------------------------------------------------------


def total(values: Tensor) -> Tensor:
    """The sum of ``values`` over all processes, in place."""
    if world() > 1:
        with reaching():
            dist.all_reduce(values)
    return values


def wait() -> None:
    """Wait until every process is here."""
    total(torch.zeros(1))


def from_leading(value: Any) -> Any:
    """The leading process's ``value``, anything that can be pickled, in every process."""
    if world() == 1:
        return value
    carrier = [value]
    with reaching():
        dist.broadcast_object_list(carrier, src=0, device=torch.device("cpu"))
    return carrier[0]


@contextlib.contextmanager
def leading_first() -> Iterator[None]:
    """Let the leading process go through the block before the others: what it downloads, they find."""
    if not ranks.leading():
        wait()
    yield
    if ranks.leading():
        wait()


# -- parts of batches --------------------------------------------------------------------------------------------------


def batches(split: Any, size: int, generator: torch.Generator | None = None) -> Iterator[tuple[Tensor, Tensor, int]]:
    """This process's part of each batch of ``size``, perhaps empty, and the number of samples in the whole batch."""
    if world() == 1:
        yield from ((x, y, len(y)) for x, y in split.batches(size, generator))
    elif "part" in inspect.signature(split.batches).parameters:
        starts = range(0, len(split), size)
        parts = split.batches(size, generator, part=(dist.get_rank(), world()))
        yield from ((x, y, min(size, len(split) - start)) for start, (x, y) in zip(starts, parts, strict=True))
    else:  # a plugin's own split: every process reads all of it
        for x, y in split.batches(size, generator):
            (own,) = cuts(len(y), len(y), (dist.get_rank(), world()))
            yield x[own], y[own], len(y)


def average_gradients(optimiser: torch.optim.Optimizer, own: int, whole: int) -> None:
    """Turn gradients of the mean over ``own`` samples into those over the ``whole`` batch, the same in every process.

    Where the batch is so small that a process has no sample, it takes zeros for what the leading one has gradients of.
    """
    if world() == 1:
        return
    trained = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    if whole < world():
        moved = from_leading([parameter.grad is not None for parameter in trained])
        for parameter in [parameter for parameter, moves in zip(trained, moved, strict=True) if moves]:
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    average([parameter.grad for parameter in trained if parameter.grad is not None], own / whole)


@torch.no_grad()
def average(tensors: Sequence[Tensor], weight: float) -> None:
    """Replace tensors by their sums over all processes, weighted in each: those of one type are sent as one buffer."""
    for kind in dict.fromkeys(tensor.dtype for tensor in tensors):
        chosen = [tensor for tensor in tensors if tensor.dtype == kind]
        flat = total(torch.cat([tensor.reshape(-1) for tensor in chosen]).mul_(weight))
        parts = flat.split([tensor.numel() for tensor in chosen])
        torch._foreach_copy_(chosen, [part.view(tensor.shape) for part, tensor in zip(parts, chosen, strict=True)])
