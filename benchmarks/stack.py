"""Copies of a network trained stacked, against one after the other: optimiser steps, and whole epochs as a run makes them.

    python benchmarks/stack.py [--rounds N] [--copies K ...] [--threads N] [--device NAME] [--networks NAME ...] [--no-epochs]

Every copy has its own weights, masks, order of images and fused SGD with momentum; both ways go through what a run goes
through. Both are timed in each round, and the ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import torch
from timing import machine
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from widenet.builtin.models.conv import conv_net
from widenet.builtin.models.fc import fc_net
from widenet.components import Model, Train
from widenet.data import Data, Images
from widenet.loading import load
from widenet.masks import Fixed, attach
from widenet.runs import Run
from widenet.train import fit, stack, together
from widenet.train.optimisers import make_optimiser
from widenet.train.process import placed, tune_process
from widenet.train.steps import Steps

CLASSES, DENSITY = 10, 0.1
STEPS, TEST = 60, 1000
"""Steps of an epoch, and images it is evaluated on."""


@attrs.frozen
class Case:
    """A network, the images it takes and how many at a time."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    batch: int
    masked: bool = False


def mnist_fc() -> nn.Module:
    """784-32-32-10 with batch norm, of the plugin weight-symmetry."""
    model = load().find(Model, "mnist-fc")
    made: nn.Module = model.function((1, 28, 28), CLASSES, model.config())
    return made


def fc(side: int, *hidden: int) -> Callable[[], nn.Module]:
    """Linear layers with ReLUs between."""
    return functools.partial(fc_net, (1, side, side), CLASSES, hidden, bias=True)


def cases() -> dict[str, Case]:
    """All networks by their names."""
    digits, small, large = (1, 28, 28), (1, 8, 8), (1, 64, 64)
    conv = functools.partial(conv_net, small, CLASSES, (8, 8), (16, 16), bias=False)
    found: list[tuple[str, Callable[[], nn.Module], tuple[int, ...], tuple[int, ...]]] = [
        (f"mnist-fc, density {DENSITY}", mnist_fc, digits, (16, 64, 128, 256, 1024)),
        ("64-16-10", fc(8, 16), small, (64, 256)),
        ("784-32-10", fc(28, 32), digits, (64, 128)),
        ("784-100-10", fc(28, 100), digits, (32, 64, 128)),
        ("784-300-100-10", fc(28, 300, 100), digits, (8, 16, 32, 64)),
        ("784-500-10", fc(28, 500), digits, (4, 16)),
        ("784-1000-10", fc(28, 1000), digits, (4, 16)),
        ("4096-64-10", fc(64, 64), large, (16, 64)),
        ("conv 8-8, fc 16-16", conv, small, (8, 32, 128)),
    ]
    return {
        f"{name}, batch {size}": Case(make, shape, size, name.startswith("mnist-fc"))
        for name, make, shape, sizes in found
        for size in sizes
    }


def network(case: Case, seed: int, device: str) -> nn.Module:
    """A copy from a seed."""
    torch.manual_seed(seed)
    net = case.make()
    if case.masked:
        attach(net, lambda name, weight: Fixed(torch.rand(weight.shape) < DENSITY))
    return placed(net, device)


def images(case: Case, count: int, device: str) -> Images:
    """Noise, uint8 as MNIST is."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (count, *case.shape), dtype=torch.uint8, generator=generator)
    return Images(x, torch.arange(count) % CLASSES, (0.5,), (0.5,)).to(device)


def crew(case: Case, copies: int, device: str, split: Images) -> Iterator[Steps]:
    """What each copy needs for its steps."""
    config = Train(batch_size=case.batch, lr=0.01)
    for seed in range(copies):
        net = network(case, seed, device)
        run = Run(Path("unused"), {"seed": seed}, device=torch.device(device))
        yield Steps(run, 0, net, split, config, make_optimiser(net, config))


def steps(case: Case, copies: int, device: str) -> dict[str, Callable[[], Any]]:
    """An epoch of optimiser steps, both ways."""
    members = list(crew(case, copies, device, images(case, STEPS * case.batch, device)))

    def stacked() -> None:
        if isinstance(why := stack.epoch(members, 1), str):
            raise RuntimeError(why)

    return {"loop": lambda: [member.alone(1) for member in members], "stacked": stacked}


def epochs(case: Case, copies: int, device: str) -> dict[str, Callable[[], Any]]:
    """A training of two epochs with evaluation, metrics and checkpoints, both ways."""
    data = Data("noise", images(case, STEPS * case.batch, device), images(case, TEST, device), case.shape, CLASSES)
    config = Train(batch_size=case.batch, lr=0.01, epochs=2)

    def train(seed: int, root: str) -> None:
        run = Run(Path(root, str(seed)), {"seed": seed}, device=torch.device(device))
        run.path.mkdir()
        for _ in fit(run, network(case, seed, device), data, config):
            pass

    def loop() -> None:
        with tempfile.TemporaryDirectory() as root:
            for seed in range(copies):
                train(seed, root)

    def stacked() -> None:
        with tempfile.TemporaryDirectory() as root:
            ended = together.side_by_side([functools.partial(train, seed, root) for seed in range(copies)])
        if failures := [error for error in ended if error is not None]:
            raise failures[0]

    return {"loop": loop, "stacked": stacked}


def compared(ways: dict[str, Callable[[], Any]], rounds: int) -> tuple[float, float, float]:
    """Median seconds of the loop and of the stack, and the median of their ratios."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if round_:
                times[name].append(time.perf_counter() - start)
    ratios = [loop / stacked for loop, stacked in zip(times["loop"], times["stacked"], strict=True)]
    return statistics.median(times["loop"]), statistics.median(times["stacked"]), statistics.median(ratios)


def flop(case: Case, device: str) -> float:
    """Floating-point operations of a step, a backward pass taken for two forward ones."""
    net = network(case, 0, device).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.zeros(case.batch, *case.shape, device=device))
    return 3 * counter.get_total_flops()


def row(name: str, case: Case, copies: int, device: str, made: tuple[float, float, float], count: int) -> str:
    """A line of the table; times are of a step of one copy."""
    loop, stacked, ratio = made
    chosen = stack.pays(network(case, 0, device), case.shape, case.batch, torch.device(device))
    each = f"{loop / copies / count * 1e3:.3f} | {stacked / copies / count * 1e3:.3f}"
    return f"| {name} | {flop(case, device) / 1e6:.1f} | {copies} | {each} | {ratio:.2f} | {'yes' if chosen else 'no'} |"


def table(title: str, make: Callable[..., dict[str, Callable[[], Any]]], asked: argparse.Namespace, count: int) -> None:
    """One table: all networks, both ways."""
    print(f"\n{title}\n\n| network | MFLOP | copies | loop | stacked | ratio | chosen |\n|---|---:|---:|---:|---:|---:|---|")
    for name, case in cases().items():
        if all(word not in name for word in asked.networks):
            continue
        for copies in asked.copies:
            made = compared(make(case, copies, asked.device), asked.rounds)
            print(row(name, case, copies, asked.device, made, count), flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--copies", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--networks", nargs="+", default=[""])
    parser.add_argument("--no-epochs", action="store_true")
    asked = parser.parse_args()
    tune_process(asked.threads)
    print("# Stacked networks\n\n`python benchmarks/stack.py > benchmarks/results/stack.md`\n")
    device = f", {torch.cuda.get_device_name(asked.device)}" if asked.device != "cpu" else ""
    print(
        f"{machine()}{device}. Median wall time of {asked.rounds} interleaved rounds, in milliseconds for a step of one copy;"
    )
    print("ratio: loop over stacked. Chosen: whether the planner would stack them.")
    table(f"Optimiser steps, {STEPS} to an epoch:", steps, asked, STEPS)
    if not asked.no_epochs:
        table(f"Whole epochs, with an evaluation on {TEST} images and a checkpoint each:", epochs, asked, 2 * STEPS)


if __name__ == "__main__":
    main()
