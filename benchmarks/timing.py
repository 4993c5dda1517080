"""What every benchmark here shares: a line that names the machine, and fair timing of several functions."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch


def machine() -> str:
    """Name the processor, the cores at hand, the versions and torch's threads in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    python = platform.python_version()
    return f"{_processor()}, {cores} cores, Python {python}, torch {torch.__version__}, {torch.get_num_threads()} threads"


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    for line in listing.read_text().splitlines() if listing.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def interleaved(functions: dict[str, Callable[[], object]], rounds: int = 7, warmup: int = 1) -> dict[str, float]:
    """Call all functions in turn, round after round, and return the median wall time of each in seconds.

    A change in the load of the machine then falls on all of them, and their ratios hold better than their times.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for round_ in range(warmup + rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if round_ >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}
