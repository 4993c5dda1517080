"""Every variant of a supermask beside dense training: a step, an evaluation, peak memory, and the scopes.

    python benchmarks/supermask.py [--threads N ...] [--rounds N] [--networks NAME ...] [--only PART ...]

Batch 128 of 32x32x3 (fc: 1x28x28), float32, channels-last, the same fused SGD for all; interleaved in one process, medians.
Beside our variants ``sort``: edge-popup that sorts its scores in every forward pass.
"""

from __future__ import annotations

import argparse
import copy
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from timing import interleaved, machine
from torch import Tensor, nn

from widenet.builtin.models import models
from widenet.data import Images
from widenet.masks import attach
from widenet.runs import Run
from widenet.train import evaluate
from widenet.train.optimisers import make_optimiser
from widenet.train.process import placed, tune_process
from widenet_supermask.config import Supermask
from widenet_supermask.layout import layout
from widenet_supermask.method import choose_trained, mask

BATCH, IMAGES = 128, 512
VARIANTS = ("dense", "edge-popup", "signed", "biprop", "iterand", "dnw", "sample", "random", "sort")
SCOPES = ("layer", "stage", "global")


class SortEveryForward(nn.Module):
    """The textbook form: sort the scores, write zeros and ones through the order."""

    def __init__(self, scores: Tensor, keep: float) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores)
        self.keep = keep

    @property
    def mask(self) -> Tensor:
        """The mask of the current scores."""
        return _Sorted.apply(self.scores.abs(), self.keep)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with all but the kept entries zero."""
        return weight * self.mask


class _Sorted(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, keep: float) -> Tensor:
        order = scores.flatten().sort().indices
        dropped = int((1 - keep) * scores.numel())
        mask = torch.empty(scores.numel())
        mask[order[:dropped]] = 0
        mask[order[dropped:]] = 1
        return mask.view(scores.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def shape_of(network: str) -> tuple[int, ...]:
    """The shape of an input."""
    return (1, 28, 28) if network == "fc" else (3, 32, 32)


def prepared(network: str, variant: str, **options: Any) -> nn.Module:
    """A network under a variant's masks, ready to train."""
    torch.manual_seed(0)
    model = next(model for model in models() if model.name == network)
    net = copy.deepcopy(model.function(shape_of(network), 10, model.config()))
    if variant == "sort":
        net.requires_grad_(False)
        attach(net, lambda name, weight: SortEveryForward(torch.randn(weight.shape) * 0.01, 0.5))
    else:
        config = Supermask(variant=variant, **options)
        mask(Run(Path(), {"seed": 0, "parents": []}), net, layout(net, config), config)
        choose_trained(net, config)
    return placed(net, "cpu")


def step_of(network: str, net: nn.Module) -> Callable[[], None]:
    """One optimiser step of a network."""
    x = torch.randn(BATCH, *shape_of(network)).to(memory_format=torch.channels_last)
    y = torch.randint(10, (BATCH,))
    optimiser = make_optimiser(net.train(), Supermask(lr=1e-3))

    def step() -> None:
        F.cross_entropy(net(x), y).backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def several(step: Callable[[], None], times: int) -> Callable[[], None]:
    """The step so often that a clock can tell."""

    def repeated() -> None:
        for _ in range(times):
            step()

    return repeated


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    """Print a table in Markdown."""
    print(f"\n## {title}\n")
    for row in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(row)} |", flush=True)


def steps(given: argparse.Namespace) -> None:
    """Time a step of every variant."""
    rows = []
    for network in given.networks:
        for threads in given.threads:
            tune_process(threads)
            times = 40 if network == "fc" else 1
            timed = {v: several(step_of(network, prepared(network, v)), times) for v in VARIANTS}
            found = interleaved(timed, rounds=given.rounds)
            dense = found.pop("dense")
            ratios = [f"{seconds / dense:.3f}" for seconds in found.values()]
            rows.append([network, str(threads), f"{1000 * dense / times:.1f}", *ratios])
    table("A step, over a dense one", ["network", "threads", "dense ms", *VARIANTS[1:]], rows)


def evaluations(given: argparse.Namespace) -> None:
    """Time an evaluation of every variant."""
    rows = []
    for network in given.networks:
        images = 8 * IMAGES if network == "fc" else IMAGES
        split = Images(torch.randn(images, *shape_of(network)), torch.arange(images) % 10)
        timed = {variant: partial(evaluate, prepared(network, variant), split) for variant in VARIANTS}
        found = interleaved(timed, rounds=given.rounds)
        dense = found.pop("dense")
        rows.append([network, f"{1000 * dense:.1f}", *(f"{seconds / dense:.3f}" for seconds in found.values())])
    title = f"An evaluation of {IMAGES} images (fc: {8 * IMAGES}), over that of a dense network"
    table(title, ["network", "dense ms", *VARIANTS[1:]], rows)


def scopes(given: argparse.Namespace) -> None:
    """Time a step of edge-popup in every scope."""
    rows = []
    for network in given.networks:
        times = 40 if network == "fc" else 1
        nets = {scope: prepared(network, "edge-popup", scope=scope) for scope in SCOPES}
        choices = {f"choice {scope}": choice_of(net) for scope, net in nets.items()}
        found = interleaved({scope: several(step_of(network, net), times) for scope, net in nets.items()}, rounds=given.rounds)
        found |= interleaved(choices, rounds=3 * given.rounds)
        ratios = [found["stage"] / found["layer"], found["global"] / found["layer"]]
        ratios += [found["choice stage"] / found["choice layer"], found["choice global"] / found["choice layer"]]
        rows.append([network, *(f"{ratio:.3f}" for ratio in ratios)])
    table("Scopes, over scope layer", ["network", "step stage", "step global", "masks stage", "masks global"], rows)


def choice_of(net: nn.Module) -> Callable[[], None]:
    """The choice of all masks and the masked weights, from scores that moved a little."""
    from widenet.masks import masked

    layers = [(place, weight) for _, place, weight in masked(net)]

    @torch.no_grad()
    def choose() -> None:
        for place, _ in layers:
            place.scores.add_(1e-6)  # the version rises, so the masks are stale
        for place, weight in layers:
            place(weight)

    return choose


def memory(given: argparse.Namespace) -> None:
    """Measure the peak of a process that takes three steps, beyond that of one that only imports."""
    rows = []
    for network in given.networks:
        peaks = {variant: _peak(network, variant) for variant in VARIANTS}
        dense = peaks.pop("dense")
        rows.append([network, f"{dense:.0f}", *(f"{peak / dense:.2f}" for peak in peaks.values())])
    table("Peak memory of three steps, over dense", ["network", "dense MiB", *VARIANTS[1:]], rows)


def _peak(network: str, variant: str) -> float:
    words = [sys.executable, __file__, "--peak", network, variant]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def print_peak(network: str, variant: str) -> None:
    """Print the MiB that three steps add at most to this process (Linux)."""
    tune_process(1)
    several(step_of("fc", prepared("fc", variant)), 1)()  # whatever is imported or compiled on the way
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from what is used now
    before = _used("VmRSS")
    several(step_of(network, prepared(network, variant)), 3)()
    print(_used("VmHWM") - before)


def _used(what: str) -> float:
    """MiB from the process's status."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


PARTS = {"step": steps, "evaluation": evaluations, "scope": scopes, "memory": memory}


def main() -> None:
    """Print the tables asked for."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--networks", nargs="+", default=["fc", "conv2", "conv4", "conv8"])
    arguments.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    arguments.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.peak:
        print_peak(*given.peak)
        return
    print(machine())
    for name in given.only:
        PARTS[name](given)


if __name__ == "__main__":
    main()
