"""The decomposed linear layer against a dense one and the published gather, and the accuracies of all k against dense products.

    OMP_NUM_THREADS=1 python benchmarks/decomposed_layer.py [--rounds R]

Gather is what the original code does: ``(x[:, indices] * weights).sum(-1) + bias``. It is left out where it would need
over a gigabyte. All are evaluated without gradients; small calls are repeated for some ten milliseconds a measurement.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from timing import interleaved, machine
from torch import Tensor, nn

from widenet_decompose.by_k import accuracy_by_k
from widenet_decompose.layer import DecomposedLinear

LAYERS = ((2048, 1000, 50), (2048, 1000, 500), (64, 10, 5), (64, 10, 20))
"""F, C, k."""
GATHERED = 1 << 28
"""Products that the gather may hold."""


def repeated(function: Callable[[], object], times: int) -> Callable[[], None]:
    """Call so many times."""

    def calls() -> None:
        for _ in range(times):
            function()

    return calls


def products(n: int, features: int, classes: int, k: int, rounds: int) -> str:
    """Time one shape; a line of the table."""
    linear = nn.Linear(features, classes)
    layer = DecomposedLinear(linear, torch.rand(classes, features).argsort(1)[:, :k])
    x = torch.randn(n, features)
    work = {"linear": lambda: linear(x), "ours": lambda: layer(x)}
    if n * classes * k <= GATHERED:
        work["gather"] = lambda: (x[:, layer.indices] * layer.weight).sum(-1) + layer.bias
    times = max(1, (1000 if classes * features < 10_000 else 10) // (1 if n < 64 else 10))
    took = interleaved({name: repeated(function, times) for name, function in work.items()}, rounds)
    ms = {name: f"{seconds * 1e3 / times:.3f}" for name, seconds in took.items()}
    ratios = [f"{took[name] / took['ours']:.2f}" if name in took else "-" for name in ("linear", "gather")]
    return f"| {features} x {classes}, {k} | {n} | {ms['linear']} | {ms.get('gather', '-')} | {ms['ours']} | " + " | ".join(
        ratios
    )


def by_products(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, ranking: Tensor, sizes: range) -> list[float]:
    """The accuracy at each of these k, by a dense product under a mask."""
    found = []
    for k in sizes:
        masked = torch.zeros_like(weight).scatter(1, ranking[:, :k], weight.gather(1, ranking[:, :k]))
        found.append(float((torch.addmm(bias, x, masked.T).argmax(1) == y).double().mean()))
    return found


def accuracies(n: int, features: int, classes: int, step: int, rounds: int) -> str:
    """Time all accuracies, and every ``step``-th of the dense products; a line of the table."""
    linear, x, y = nn.Linear(features, classes), torch.randn(n, features), torch.randint(classes, (n,))
    ranking = linear.weight.abs().argsort(1, descending=True)
    given = x, y, linear.weight, linear.bias, ranking
    sizes = range(step, features + 1, step)
    took = interleaved({"dense": lambda: by_products(*given, sizes), "ours": lambda: accuracy_by_k(*given)}, rounds)
    dense, ours = took["dense"] * step, took["ours"]
    return f"| {n} | {features} | {classes} | {dense * 1e3:,.1f} | {ours * 1e3:,.1f} | {dense / ours:.1f} |"


@torch.no_grad()
def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    command = f"OMP_NUM_THREADS={torch.get_num_threads()} python benchmarks/decomposed_layer.py"
    print(f"# Decomposed layer\n\n`{command} > benchmarks/results/decomposed_layer.md`\n")
    print(f"{machine()}. float32, without gradients.")
    print(
        f"Median wall time in milliseconds of {rounds} interleaved rounds; ratios: above 1 where DecomposedLinear is faster.\n"
    )
    print("| features x classes, k | N | nn.Linear | gather | DecomposedLinear | nn.Linear / ours | gather / ours |")
    print("|:---|---:|---:|---:|---:|---:|---:|")
    for sizes in LAYERS:
        for n in (1, 16, 256, 1024):
            print(products(n, *sizes, rounds), "|", flush=True)
    print(
        "\nAccuracy at every k from 1 to F: a dense product under a mask for each k (of F = 2,048 every 256th is timed and the"
    )
    print("time scaled), against `accuracy_by_k`.\n")
    print("| N | F | C | dense, ms | accuracy_by_k, ms | ratio |\n|---:|---:|---:|---:|---:|---:|")
    for n, features, classes, step in ((1017, 64, 10, 1), (50_000, 64, 10, 1), (1024, 2048, 1000, 256)):
        print(accuracies(n, features, classes, step, 3), flush=True)


if __name__ == "__main__":
    main()
