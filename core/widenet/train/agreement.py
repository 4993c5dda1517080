"""What processes that train together must have in common, beside the gradients.

Batch norm takes its statistics from each process's part of a batch; the running ones are averaged after every epoch. Random
streams are the leading process's wherever parts that differ in size may have drawn differently.
"""

from __future__ import annotations

import random

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from widenet.errors import WnError
from widenet.train.parallel import average, from_leading, reaching, world

BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Integers by the bytes of an element."""


def norms(net: nn.Module) -> list[_NormBase]:
    """The layers that keep statistics of the batches they saw."""
    return [module for module in net.modules() if isinstance(module, _NormBase) and module.running_mean is not None]


def average_statistics(net: nn.Module) -> None:
    """Average the running statistics of batch norm, which each process has of its own parts."""
    if world() > 1:
        statistics = (value for module in norms(net) for value in (module.running_mean, module.running_var))
        average([value for value in statistics if value is not None], 1 / world())


def share_random() -> None:
    """Set the global random streams to where they stand in the leading process.

    Parts that differ in size draw differently (dropout), but what a method draws next (a mask) must be the same everywhere.
    """
    if world() == 1:
        return
    gpu = torch.cuda.is_initialized()
    own = (torch.get_rng_state(), random.getstate(), np.random.get_state(), torch.cuda.get_rng_state() if gpu else None)  # noqa: NPY002
    on_cpu, python, numpy, on_gpu = from_leading(own)
    torch.set_rng_state(on_cpu)
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002
    if on_gpu is not None:
        torch.cuda.set_rng_state(on_gpu)


def check_alike(net: nn.Module) -> None:
    """Refuse to go on with networks that differ between processes.

    Raises:
        WnError: they do, in every process; names the first parameter or buffer.
    """
    if world() == 1:
        return
    state = {name: value for name, value in net.state_dict().items() if isinstance(value, Tensor)}
    sums = torch.stack([_sum_of_bits(value) for value in state.values()]).cpu()
    both = torch.stack([sums, -sums], 1)
    with reaching():
        dist.all_reduce(both, dist.ReduceOp.MAX)
    unequal = [name for name, (most, least) in zip(state, both.tolist(), strict=True) if most != -least]
    if unequal:
        raise WnError(
            f"the processes' networks differ in {unequal[0]}: this method does something else in each; run it in one process"
        )


def _sum_of_bits(value: Tensor) -> Tensor:
    """The sum of a tensor's elements, read as integers of their size: int64 ()."""
    return value.detach().contiguous().view(BITS[value.element_size()]).sum()
