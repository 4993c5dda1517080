"""How long a listing takes, against a Python that does nothing, one that loads torch, and the libraries a listing needs.

Run by hand: python benchmarks/startup.py > benchmarks/results/startup.md
"""

import subprocess
import sys
from collections.abc import Callable

from timing import interleaved, machine

BARE = "python -c pass"
GOAL = 15
WN = [sys.executable, "-m", "widenet"]
COMMANDS = {
    BARE: [sys.executable, "-c", "pass"],
    "python -c 'import attrs, click, pluggy, importlib.metadata'": [
        sys.executable,
        "-c",
        "import attrs, click, pluggy, importlib.metadata",
    ],
    "wn --help": [*WN, "--help"],
    "wn list-plugins": [*WN, "list-plugins"],
    "wn list methods --json": [*WN, "list", "methods", "--json"],
    "wn run supermask --help": [*WN, "run", "supermask", "--help"],
    "python -c 'import torch'": [sys.executable, "-c", "import torch"],
}


def main() -> None:
    """Print each command's time and its ratio to the bare interpreter's."""
    took = interleaved({name: starter(command) for name, command in COMMANDS.items()}, rounds=21, warmup=2)
    print(
        f"{machine()}. Median wall time of 21 interleaved rounds; goal: `wn list-plugins` at most {GOAL} times a bare Python.\n"
    )
    print("| command | milliseconds | ratio |")
    print("|:---|---:|---:|")
    for name, seconds in took.items():
        print(f"| `{name}` | {seconds * 1e3:.0f} | {seconds / took[BARE]:.1f} |")


def starter(command: list[str]) -> Callable[[], object]:
    """A function that runs the command to its end."""
    return lambda: subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main()
