"""Sparse Kaiming weights of a layer: one neuron after the other, as the published code draws them, against widenet.

Run by hand: python benchmarks/sparse_init.py > benchmarks/results/sparse_init.md
"""

import math

import torch
from timing import interleaved, machine
from torch import Tensor

from widenet.train.process import tune_process
from widenet_weight_symmetry.initialise import SHRUNK, sparse_init_
from widenet_weight_symmetry.masks import generate

CALLS = 20
"""Calls of sparse_init_ in one measurement; the loop is slow enough alone."""
SHAPES = ((300, 784), (1024, 1024))
SPARSITIES = (0.0, 0.5, 0.9, 0.98)


def by_neuron(weight: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
    """Draw (fan_in, U) truncated normals for each of U neurons, and use the first column of each."""
    weight.zero_()
    fans = mask.sum(1)
    units = int((fans > 0).sum())
    for row, kept, fan in zip(weight, mask, fans.tolist(), strict=True):
        if fan:
            std = math.sqrt(2 / fan) / SHRUNK
            draws = torch.nn.init.trunc_normal_(torch.empty(fan, units), std=std, a=-2 * std, b=2 * std, generator=generator)
            row[kept] = draws[:, 0]
    return weight


def main() -> None:
    """Print the table."""
    tune_process(1)
    print("# Sparse initialisation\n\n`python benchmarks/sparse_init.py > benchmarks/results/sparse_init.md`\n")
    print(f"{machine()}. Masks with constant fan-in, sparse Kaiming weights in float32.")
    print("Median wall time in milliseconds of 3 interleaved rounds; ratio: loop over sparse_init_, which is called")
    print(f"{CALLS} times in a round.\n")
    print("| inputs | neurons | sparsity | loop | sparse_init_ | ratio |")
    print("|---:|---:|---:|---:|---:|---:|")
    for out, inputs in SHAPES:
        for sparsity in SPARSITIES:
            print(f"| {inputs} | {out} | {sparsity} | " + " | ".join(measure(out, inputs, sparsity)) + " |", flush=True)


def measure(out: int, inputs: int, sparsity: float) -> list[str]:
    """Time both on one mask."""
    generator = torch.Generator().manual_seed(0)
    mask = generate("per-neuron", (out, inputs), sparsity, generator)
    weight = torch.empty(out, inputs)
    took = interleaved(
        {
            "loop": lambda: by_neuron(weight, mask, generator),
            "ours": lambda: [sparse_init_(weight, mask, "kaiming-sparse", generator) for _ in range(CALLS)],
        },
        rounds=3,
    )
    loop, ours = took["loop"] * 1e3, took["ours"] * 1e3 / CALLS
    return [f"{loop:.1f}", f"{ours:.3f}", f"{loop / ours:.0f}"]


if __name__ == "__main__":
    main()
