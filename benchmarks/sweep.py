"""Sweeps against what a user would otherwise run: by two processes against one, and against a command a run.

    python benchmarks/sweep.py [--rounds R] > benchmarks/results/sweep.md

Every sweep starts from an empty folder. Whole commands are timed: the start of Python, of torch and of the server that
processes are forked from is part of them. One thread a run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable

from timing import interleaved, machine

WN = [sys.executable, "-m", "widenet"]
LONG = ["train", "--arch", "conv4", "--epochs", "4"]
SHORT = ["train", "--arch", "fc", "--epochs", "1"]
RUNS = {"conv4, 4 epochs": (LONG, 4), "fc, 1 epoch": (SHORT, 12)}


def swept(words: list[str], runs: int, jobs: int) -> Callable[[], None]:
    """A function that sweeps over so many seeds."""
    return lambda: _empty([["sweep", *words, "--grid", f"seed=0..{runs - 1}", "--jobs", str(jobs)]])


def one_by_one(words: list[str], runs: int) -> Callable[[], None]:
    """A function that gives a command for each seed."""
    return lambda: _empty([["run", *words, "--threads", "1", "--seed", str(seed)] for seed in range(runs)])


def _empty(commands: list[list[str]]) -> None:
    """Carry out the commands, with their results in a fresh folder."""
    with tempfile.TemporaryDirectory() as folder:
        for words in commands:
            subprocess.run([*WN, *words, "--quiet", "--runs-dir", folder], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print("# Sweeps\n\n`python benchmarks/sweep.py > benchmarks/results/sweep.md`\n")
    print(f"{machine()}; one thread a run. Medians of {rounds} interleaved rounds, in seconds.\n")
    print("| runs | a command a run | sweep, --jobs 1 | sweep, --jobs 2 | two jobs over one | two jobs over commands |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, (words, runs) in RUNS.items():
        functions = {"commands": one_by_one(words, runs), "1": swept(words, runs, 1), "2": swept(words, runs, 2)}
        took = interleaved(functions, rounds=rounds, warmup=0)
        ratios = f"**{took['1'] / took['2']:.2f}** | {took['commands'] / took['2']:.1f}"
        print(f"| {runs} of {name} | {took['commands']:.1f} | {took['1']:.1f} | {took['2']:.1f} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
