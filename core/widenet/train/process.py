"""What a process that trains sets once, before its first big tensor; listings never call this."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from typing import Any

import torch
from torch import nn

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


def tune_process(threads: int | None = None, deterministic: bool = False) -> dict[str, Any]:
    """Set threads, memory allocator and determinism; returns what bit-equal repetition depends on, for the run's record."""
    if threads is not None:
        torch.set_num_threads(threads)
    keep_memory()
    # Weights that decay towards 0 end as denormal numbers, which processors work on up to a hundred times more slowly.
    torch.set_flush_denormal(True)
    # A GPU's matrix units then work on TF32, unless exact repetition was asked for.
    torch.set_float32_matmul_precision("highest" if deterministic else "high")
    torch.backends.cudnn.benchmark = not deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if deterministic != torch.are_deterministic_algorithms_enabled():  # setting it, even to what it is, loads the compiler
        torch.use_deterministic_algorithms(deterministic)
    return {"threads": torch.get_num_threads(), "torch": str(torch.__version__), "deterministic": deterministic}


def keep_memory() -> None:
    """Let glibc keep freed memory for the next tensor instead of returning it to the system and faulting it in again.

    Large tensors come and go at every step; on Linux this makes a convolutional step 1.1 to 1.4 times faster
    (``benchmarks/train.py``). The process keeps what it once used.
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_TOP_PAD, 256 * 2**20)


def placed(net: nn.Module, device: torch.device | str) -> nn.Module:
    """The network on a device, everything of four axes in ``channels_last`` memory, which convolutions run faster in."""
    net.to(device)
    for tensor in [*net.parameters(), *net.buffers()]:
        if tensor.dim() == 4:  # module.to(memory_format=...) refuses networks that have five axes as well
            tensor.data = tensor.data.to(memory_format=torch.channels_last)
    return net
