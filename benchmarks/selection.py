"""Selecting the top half of a layer's scores: a full sort, as edge-popup is usually written, against widenet.

Run by hand: python benchmarks/selection.py > benchmarks/results/selection.md
"""

import torch
from timing import interleaved, machine
from torch import Tensor

from widenet.kernels.select import topk_mask, topk_masked
from widenet.train.process import tune_process

SIZES = (1_728, 36_864, 147_456, 589_824, 2_097_152, 2_359_296, 4_194_304)  # layers of Conv4 and Conv8 among them
KEEP = 0.5


def by_sort(scores: Tensor) -> Tensor:
    """Sort all magnitudes and write zeros and ones through the order."""
    mask = scores.abs()
    _, order = mask.flatten().sort()
    drop = int((1 - KEEP) * scores.numel())
    line = mask.flatten()
    line[order[:drop]] = 0
    line[order[drop:]] = 1
    return mask


def by_kthvalue(scores: Tensor) -> Tensor:
    """Find the threshold alone; keeps too many where scores tie at it."""
    sizes = scores.abs()
    return sizes >= sizes.kthvalue(int((1 - KEEP) * scores.numel()) + 1).values


def main() -> None:
    """Print the table."""
    torch.manual_seed(0)
    print("# Selection\n\n`python benchmarks/selection.py > benchmarks/results/selection.md`\n")
    print(f"{machine().rpartition(', ')[0]}. Float32 scores, keep {KEEP}, memory allocator set as in a run.")
    print("Median wall time of 15 interleaved rounds, in milliseconds; ratio: sort over topk_mask. topk_masked also")
    print("multiplies, into buffers at hand.\n")
    print("| scores | threads | sort | kthvalue | topk_mask | ratio | topk_masked |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for size in SIZES:
        for threads in (1, 2):
            tune_process(threads)
            row = measure(torch.empty(size).uniform_(-1, 1))
            print(f"| {size:,} | {threads} | " + " | ".join(row) + " |", flush=True)


def measure(scores: Tensor) -> list[str]:
    """Time all ways to select on these scores."""
    weight, mask, out = torch.randn_like(scores), torch.empty_like(scores, dtype=torch.bool), torch.empty_like(scores)
    took = interleaved(
        {
            "sort": lambda: by_sort(scores),
            "kthvalue": lambda: by_kthvalue(scores),
            "mask": lambda: topk_mask(scores, KEEP),
            "masked": lambda: topk_masked(weight, scores, KEEP, mask=mask, out=out),
        },
        rounds=15,
        warmup=2,
    )
    sort, kthvalue, ours, masked = (f"{seconds * 1e3:.3f}" for seconds in took.values())
    return [sort, kthvalue, ours, f"{took['sort'] / took['mask']:.1f}", masked]


if __name__ == "__main__":
    main()
