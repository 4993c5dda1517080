"""Grouping the equal units of a mask: numpy.unique over the unpacked mask, as is usual, against widenet.

Run by hand, on Linux: python benchmarks/classes.py > benchmarks/results/classes.md
"""

import ctypes
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from timing import interleaved, machine
from torch import Tensor

from widenet.kernels.classes import classes, occupied
from widenet.train.process import tune_process

SHAPES = ((300, 784), (1024, 1024), (512, 256, 3, 3), (4096, 4096))
"""Masks as PyTorch has them: units first."""
FOLLOWED = (((256, 128, 3, 3), (512, 256, 3, 3)), ((64, 32, 3, 3), (256, 64 * 49)), ((1024, 1024), (1024, 1024)))
"""Masks and those of the layers that follow; the second is a linear layer that reads a flattened map of 7x7."""
DENSITY, DUPLICATED = 0.1, 0.25


def random_mask(shape: tuple[int, ...]) -> Tensor:
    """A mask of which a quarter of the units repeat others."""
    mask = torch.rand(shape) < DENSITY
    order = torch.randperm(len(mask))
    copies = int(DUPLICATED * len(mask))
    mask[order[:copies]] = mask[order[torch.randint(copies, len(mask), (copies,))]]
    return mask


def unpacked(mask: Tensor) -> np.ndarray:
    """The mask as int32 (inputs, units), as JAX and TensorFlow keep it."""
    return np.ascontiguousarray(mask.flatten(1).T.numpy(), dtype=np.int32)


def columns(mask: Tensor, units: int) -> Tensor:
    """The mask of the layer that follows as a part, units in the middle."""
    return mask.reshape(len(mask), units, -1)


def by_unique(mask: np.ndarray) -> np.ndarray:
    """How often each column occurs."""
    return np.unique(mask, axis=1, return_counts=True)[1]


def by_classes(mask: Tensor, *following: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The class of each unit, and which units have any connection in each part."""
    parts = [mask.reshape(1, len(mask), -1), *(columns(part, len(mask)) for part in following)]
    return classes(parts), [occupied(part) for part in parts]


def peak(function: Callable[[], object]) -> float:
    """How many MB a second call adds to the process at most: the rise of its peak resident memory, in a child of its own."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            function()  # loads code that a call would be charged with
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")  # the peak becomes what there is now
            before = _resident("VmHWM")
            function()
            os.write(writing, str(_resident("VmHWM") - before).encode())
        finally:
            os._exit(0)  # whatever happens, the rest of the benchmark is the parent's
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        return int(answer.read()) / 1024


def _resident(field: str) -> int:
    """That figure of this process, in KiB."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None, f"this system does not tell {field}"
    return int(found[1])


def timed(original: Callable[[], object], ours: Callable[[], object], bits: int) -> tuple[float, float]:
    """Milliseconds of each; a call on few bits is made several times in a row, as one alone mostly waits for its code."""
    times = max(1, (1 << 22) // bits)
    took = interleaved({"original": lambda: [original() for _ in range(times)], "ours": lambda: [ours() for _ in range(times)]})
    return took["original"] / times * 1e3, took["ours"] / times * 1e3


def table() -> None:
    """Compare both on single masks, as the original can."""
    print("| mask | units | numpy.unique, ms | widenet, ms | ratio | numpy.unique, MB | widenet, MB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for shape in SHAPES:
        mask = random_mask(shape)
        original, ours = partial(by_unique, unpacked(mask)), partial(by_classes, mask)
        assert sorted(original()) == sorted(ours()[0].bincount().tolist())
        theirs, took = timed(original, ours, mask.numel())
        row = f"{theirs:.2f} | {took:.3f} | {theirs / took:.0f} | {peak(original):.1f} | {peak(ours):.2f}"
        print(f"| {'x'.join(map(str, shape))} | {shape[0]} | {row} |", flush=True)


def table_followed() -> None:
    """Compare both on masks with the one that follows, which the original stacks below."""
    print("| mask | following | numpy.unique, ms | widenet, ms | ratio |")
    print("|---|---|---:|---:|---:|")
    for shape, following in FOLLOWED:
        mask, after = random_mask(shape), random_mask(following)
        stacked = np.concatenate([unpacked(mask), unpacked(columns(after, len(mask)).movedim(1, 0))])
        theirs, took = timed(partial(by_unique, stacked), partial(by_classes, mask, after), stacked.size)
        row = f"{theirs:.2f} | {took:.3f} | {theirs / took:.0f}"
        print(f"| {'x'.join(map(str, shape))} | {'x'.join(map(str, following))} | {row} |", flush=True)


def main() -> None:
    """Print both tables."""
    torch.manual_seed(0)
    tune_process(1)
    print("# Equal units of a mask\n\n`python benchmarks/classes.py > benchmarks/results/classes.md`\n")
    print(f"{machine()}, NumPy {np.__version__}. Mask density {DENSITY}, {DUPLICATED:.0%} of the units repeat others.")
    print("numpy.unique(axis=1) reads an int32 mask made beforehand, widenet (classes and occupied) a bool one. Median wall")
    print("time of 7 interleaved rounds; masks below 4 million bits are grouped several times in a row. Memory: how far a call")
    print("raises the peak resident memory of a child process that made the same call before, masks not counted; it resolves")
    print("about 0.1 MB.\n")
    table()
    print("\nWith the mask of the layer that follows; numpy.unique reads both stacked, which is not timed.\n")
    table_followed()


if __name__ == "__main__":
    main()
