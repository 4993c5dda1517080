"""A sweep by two processes against the same sweep by one.

    python benchmarks/sweep.py [--rounds R] [--runs N] [--epochs E]

The runs are Conv4 on the embedded digits, one thread each; every sweep starts from an empty folder. Whole commands are timed:
the start of Python, of torch and of the server that processes are forked from is part of both.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

from timing import machine


def seconds(jobs: int, runs: int, epochs: int) -> float:
    """Seconds of one sweep."""
    words = ["sweep", "train", "--arch", "conv4", "--epochs", str(epochs), "--grid", f"seed=0..{runs - 1}"]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, "-m", "widenet", *words, "--jobs", str(jobs), "--quiet", "--runs-dir", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=8)
    given = parser.parse_args()
    spent: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(given.rounds):
        for jobs in spent:
            spent[jobs].append(seconds(jobs, given.runs, given.epochs))
    one, two = (statistics.median(spent[jobs]) for jobs in (1, 2))
    print("# A sweep by two processes\n\n`python benchmarks/sweep.py > benchmarks/results/sweep.md`\n")
    print(f"{machine()}. {given.runs} runs of {given.epochs} epochs; medians of {given.rounds} interleaved rounds.\n")
    print("| jobs | s | times faster |\n|---:|---:|---:|")
    print(f"| 1 | {one:.1f} | 1 |\n| 2 | {two:.1f} | **{one / two:.2f}** |")


if __name__ == "__main__":
    main()
