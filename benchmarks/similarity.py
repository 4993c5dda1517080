"""Counting similar units without the N x N matrix of correlations, against numpy.corrcoef and a comparison.

    python benchmarks/similarity.py [--rounds R] [--threads N] [--large]

The samples are float32, of 8 factors and noise, and the threshold is 0.5. Memory is what a process of its own needs at its peak
beyond the samples. ``--large`` adds widths at which numpy.corrcoef takes gigabytes; there the counts stand alone, once.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from timing import interleaved, machine

from widenet.kernels.similarity import count_similar

THRESHOLD, ROWS = 0.5, 16
"""Of similarity; samples that are made at a time."""
SIZES = [(1024, 2000), (1024, 10_000), (4096, 2000), (4096, 10_000)]
LARGE = [(16_384, 2000), (16_384, 10_000), (65_536, 2000)]
"""(N, M)."""


def activity(samples: int, units: int) -> np.ndarray:
    """A layer of 8 factors and noise, float32 (M, N), made in pieces so small that nothing else is left behind."""
    rng, x = np.random.default_rng(0), np.empty((samples, units), np.float32)
    factors = rng.normal(size=(8, units)).astype(np.float32)
    for start in range(0, samples, ROWS):
        part = x[start : start + ROWS]
        rng.standard_normal(out=part, dtype=np.float32)
        part += rng.standard_normal((len(part), 8), dtype=np.float32) @ factors / 4
    return x


def with_numpy(x: np.ndarray) -> np.ndarray:
    """The textbook way, which is also the original's."""
    return (np.abs(np.corrcoef(x.T)) >= THRESHOLD).sum(0) - 1


def with_tiles(x: np.ndarray) -> np.ndarray:
    """Ours."""
    return count_similar(x, [THRESHOLD])[0].numpy()


WAYS = {"numpy": with_numpy, "tiles": with_tiles}


def measured(way: str, units: int, samples: int) -> tuple[float, float]:
    """Seconds, and MB beyond the samples at the peak, of one call in a process of its own."""
    command = [sys.executable, __file__, "--measure", way, str(units), str(samples), "--threads", str(torch.get_num_threads())]
    seconds, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(peak)


def measure(way: str, units: int, samples: int) -> None:
    """What such a process does."""
    WAYS[way](activity(64, 64))  # what is loaded on the first call is no part of it
    x = activity(samples, units)
    before, start = memory("VmRSS"), time.perf_counter()
    WAYS[way](x)
    seconds = time.perf_counter() - start
    print(seconds, memory("VmHWM") - before)


def memory(kind: str) -> float:
    """MB that this process holds now (VmRSS), or held at its peak (VmHWM; getrusage would count what its parent held)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024


def compare(units: int, samples: int, rounds: int) -> None:
    """Print a line: both ways."""
    x = activity(samples, units)
    same = "yes" if np.array_equal(with_numpy(x), with_tiles(x)) else "no"
    times = interleaved({way: lambda work=work: work(x) for way, work in WAYS.items()}, rounds, warmup=0)
    peaks = {way: measured(way, units, samples)[1] for way in WAYS}
    cells = [f"{times['numpy']:.2f}", f"{times['tiles']:.2f}", f"**{times['numpy'] / times['tiles']:.1f}**"]
    cells += [f"{peaks['numpy']:.0f}", f"{peaks['tiles']:.0f}", same]
    print(f"| {units:,} | {samples:,} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", "1")))
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.measure:
        measure(asked.measure[0], *map(int, asked.measure[1:]))
        return
    large = " --large" if asked.large else ""
    print(f"# Similar units\n\n`OMP_NUM_THREADS=1 python benchmarks/similarity.py{large} > benchmarks/results/similarity.md`\n")
    print(f"{machine()}. N units, M samples, float32, {THRESHOLD} as threshold;")
    print(f"medians of {asked.rounds} interleaved rounds; MB beyond the samples, at the peak of a process of its own.\n")
    print("| N | M | numpy.corrcoef, s | count_similar, s | ratio | numpy.corrcoef, MB | count_similar, MB | same counts |")
    print("|---:|---:|---:|---:|---:|---:|---:|---|")
    for units, samples in SIZES:
        compare(units, samples, asked.rounds)
    if asked.large:
        print("\n`count_similar` alone, once:\n\n| N | M | s | MB |\n|---:|---:|---:|---:|")
        for units, samples in LARGE:
            seconds, peak = measured("tiles", units, samples)
            print(f"| {units:,} | {samples:,} | {seconds:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
