"""Training a network whose units die, with denormal numbers flushed to zero as in every run, and without.

Run by hand: python benchmarks/denormal.py > benchmarks/results/denormal.md

A unit that died gets no gradient but that of weight decay. It falls by a factor every step, and with it Adam's moments of it,
until they are too small for normal float32 numbers, which a processor handles by slow microcode.
"""

import statistics
import time

import torch
from timing import machine
from torch import Tensor

from widenet.components import Train
from widenet.train.optimisers import learning_rate, make_optimiser
from widenet_redundant_repr.config import RedundantRepr
from widenet_redundant_repr.options import Parity
from widenet_redundant_repr.parity import load
from widenet_redundant_repr.pmnist import FullyConnected, squared_hinge

WIDTH, BATCH, STEPS = 512, 256, 60
"""Units of five hidden layers, samples of a step, and steps of an epoch."""
CONFIG = RedundantRepr(epochs=60, optimizer="adam", lr=1e-3, weight_decay=3e-3)
ENOUGH = 35
"""Epochs that are timed of those that the schedule is for."""


class Training:
    """One of two trainings that differ in nothing but what becomes of denormal numbers."""

    def __init__(self, x: Tensor, y: Tensor, flush: bool) -> None:
        torch.manual_seed(0)
        self.net = FullyConnected(x.shape[1], [WIDTH] * 5, 1, True, 0.0)
        self.optimiser = make_optimiser(self.net, CONFIG)
        self.x, self.y, self.flush = x, y, flush
        self.generator = torch.Generator().manual_seed(0)

    def epoch(self, number: int) -> float:
        """Train for an epoch; returns the seconds of a step."""
        torch.set_flush_denormal(self.flush)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(CONFIG, number)
        start = time.perf_counter()
        for _ in range(STEPS):
            rows = torch.randint(len(self.y), (BATCH,), generator=self.generator)
            self.optimiser.zero_grad()
            squared_hinge(self.net(self.x[rows]), self.y[rows]).backward()
            self.optimiser.step()
        return (time.perf_counter() - start) / STEPS

    def denormal(self) -> float:
        """The share of weights and moments that are denormal."""
        state = self.optimiser.state
        tensors = [t for p in self.net.parameters() for t in (p.detach(), *state[p].values()) if t.numel() > 1]
        tiny = torch.finfo(torch.float32).tiny
        return sum(int(((t != 0) & (t.abs() < tiny)).sum()) for t in tensors) / sum(t.numel() for t in tensors)


def main() -> None:
    """Train both, an epoch of each in turn."""
    assert isinstance(CONFIG, Train)
    torch.set_num_threads(1)
    data = load(None, Parity(source="digits", swap=False))  # type: ignore[arg-type]
    x, y = next(iter(data.train.batches(len(data.train))))
    kept, flushed = Training(x, y, False), Training(x, y, True)
    print("# Denormal numbers\n\n`python benchmarks/denormal.py > benchmarks/results/denormal.md`\n")
    print(f"{machine()}. Parity of digits, five hidden layers of {WIDTH},")
    print(f"Adam with L2 decay {CONFIG.weight_decay}, batch {BATCH}, {STEPS} steps an epoch, epochs of both in turn.")
    print("Medians of five epochs, in milliseconds a step.\n")
    print("| epochs | denormal weights and moments | kept | flushed | ratio |\n|---|---:|---:|---:|---:|")
    times: list[tuple[float, float]] = []
    for number in range(1, ENOUGH + 1):
        times.append((kept.epoch(number), flushed.epoch(number)))
        if number % 5 == 0:
            a, b = (statistics.median(pair[k] for pair in times[-5:]) * 1e3 for k in (0, 1))
            torch.set_flush_denormal(False)
            print(f"| {number - 4} to {number} | {kept.denormal():.1%} | {a:.1f} | {b:.1f} | {a / b:.1f} |", flush=True)


if __name__ == "__main__":
    main()
