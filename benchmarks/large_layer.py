"""A layer of 8,192 neurons on 100,000 generated samples: captured and studied, with the time and memory that it takes.

    python benchmarks/large_layer.py [--samples N] [--width P]

Every part runs in one process, whose peak resident memory is given after each; it includes torch itself.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import torch
from timing import machine
from torch import Tensor, nn

from widenet.capture import Wanted, capture
from widenet.data import Data
from widenet.runs import Run
from widenet_redundant_repr.analysis import study
from widenet_redundant_repr.config import Chunks

FACTORS, CLASSES, BLOCK = 64, 10, 1024
"""Hidden factors of the features, classes, and samples that are generated from one seed."""


@attrs.frozen(eq=False)
class Generated:
    """Samples that exist a block at a time: factors of which the network makes its features."""

    count: int
    first: int = 0
    classes: int = CLASSES

    def __len__(self) -> int:
        return self.count - self.first

    def to(self, *_: Any) -> Generated:
        """Stay where it is."""
        return self

    def labels(self) -> Tensor:
        """A class for each sample."""
        return torch.arange(self.first, self.count) % self.classes

    def part(self, chosen: Tensor) -> Generated:
        """The samples from the first of those chosen to the last."""
        return Generated(self.first + int(chosen[-1]) + 1, self.first + int(chosen[0]), self.classes)

    def batches(self, size: int, *_: Any) -> Iterator[tuple[Tensor, Tensor]]:
        """Factors about a centre for each class, in order."""
        centres = torch.randn(self.classes, FACTORS, generator=torch.Generator().manual_seed(0))
        for start in range(self.first, self.count, BLOCK):
            y = torch.arange(start, min(start + BLOCK, self.count)) % self.classes
            x = centres[y] + torch.randn(len(y), FACTORS, generator=torch.Generator().manual_seed(start + 1))
            yield from zip(x.split(size), y.split(size), strict=True)


class Wide(nn.Module):
    """Features of the factors, each with noise of its own that depends on the sample alone, rectified or not; a read-out."""

    def __init__(self, width: int, classes: int = CLASSES, relu: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features, self.fc = nn.Linear(FACTORS, width), nn.Linear(width, classes)
        self.last = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        clean = self.features(x)
        return self.fc(self.last(clean + 0.1 * torch.sin(1e4 * clean)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=8192)
    asked = parser.parse_args()
    print("# A large layer\n\n`python benchmarks/large_layer.py > benchmarks/results/large_layer.md`\n")
    print(f"{machine()}.")
    print(f"N = {asked.samples} test and {asked.samples // 10} training samples, P = {asked.width}; float32, generated.")
    print("Peak: resident memory of the process until then, GiB.\n\n| part | s | peak |\n|---|---:|---:|")
    net = Wide(asked.width)
    data = Data("generated", Generated(asked.samples // 10), Generated(asked.samples), (FACTORS,), CLASSES)  # type: ignore[arg-type]
    config = Chunks(error_repeats=10, r2_repeats=2)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), {"seed": 0, "dataset": {"name": "generated"}})
        timed("start", lambda: None)
        for split in ("test", "train"):
            wanted = Wanted(layers=("fc:input",), split=split)  # type: ignore[arg-type]
            timed(f"capture {split}", lambda wanted=wanted: capture(run, net, data, wanted))
        timed("chunks: 14 sizes, 10 draws for errors, 2 for R2", lambda: study(run, net, data, config, None))


def timed(name: str, work: Callable[[], object]) -> None:
    """Print how long the work took, and the peak of memory."""
    start = time.perf_counter()
    work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"| {name} | {time.perf_counter() - start:.1f} | {peak:.2f} |", flush=True)


if __name__ == "__main__":
    main()
