"""Selecting the top half of the scores, of a layer or of all layers together: a full sort, as is usual, against widenet.

Run by hand: python benchmarks/selection.py > benchmarks/results/selection.md
"""

import math

import torch
from timing import interleaved, machine
from torch import Tensor

from widenet.kernels.select import Hint, topk_mask, topk_masked, topk_together
from widenet.masks import factor
from widenet.train.process import tune_process

SIZES = (1_728, 36_864, 147_456, 589_824, 2_097_152, 2_359_296, 4_194_304)  # layers of Conv4 and Conv8 among them
CONV4 = ((64, 3, 3, 3), (64, 64, 3, 3), (128, 64, 3, 3), (128, 128, 3, 3), (256, 8192), (256, 256), (10, 256))
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
    print("\nThe layers of Conv4, one selection from all their scores and then weight times mask for each layer: joined and")
    print("sorted, and by topk_together; beside them topk_masked of each layer by itself. Ratio: together over each.\n")
    print("| threads | hints | sort | each by itself | together | ratio |")
    print("|---:|---|---:|---:|---:|---:|")
    for threads in (1, 2):
        for hinted in (False, True):
            tune_process(threads)
            row = measure_together(hinted)
            print(f"| {threads} | {'yes' if hinted else 'no'} | " + " | ".join(row) + " |", flush=True)


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


def measure_together(hinted: bool) -> list[str]:
    """Time a selection from all layers of Conv4, and one from each."""
    scores = [torch.empty(shape).uniform_(-1, 1) / math.sqrt(math.prod(shape[1:])) for shape in CONV4]
    weights = [torch.randn_like(layer) for layer in scores]
    masks = [torch.empty_like(layer, dtype=torch.bool) for layer in scores]
    hints = [Hint() if hinted else None for _ in scores]
    group = Hint() if hinted else None

    def joined() -> list[Tensor]:
        marks = by_sort(torch.cat([layer.flatten() for layer in scores])).split([layer.numel() for layer in scores])
        return [weight * mask.view_as(weight) for weight, mask in zip(weights, marks, strict=True)]

    def each() -> list[Tensor]:
        layers = zip(weights, scores, masks, hints, strict=True)
        return [topk_masked(weight, layer, KEEP, mask=mask, hint=hint)[1] for weight, layer, mask, hint in layers]

    def together() -> list[Tensor]:
        topk_together(scores, KEEP, masks=masks, hint=group)
        return [weight * factor(mask, weight) for weight, mask in zip(weights, masks, strict=True)]

    took = interleaved({"sort": joined, "each": each, "together": together}, rounds=15, warmup=2)
    return [*(f"{seconds * 1e3:.3f}" for seconds in took.values()), f"{took['together'] / took['each']:.2f}"]


if __name__ == "__main__":
    main()
