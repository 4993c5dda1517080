"""One training step of Conv4 and Conv8: dense weights, our masks, and edge-popup that sorts in every forward pass.

    python benchmarks/edge_popup.py [--threads N] [--rounds N]

Batch 128 of 32x32x3, float32, channels-last, the same fused SGD for all; variants interleaved in one process, medians.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from timing import interleaved, machine
from torch import Tensor, nn

from widenet.builtin.models import models
from widenet.components import Train
from widenet.masks import attach
from widenet.train.optimisers import make_optimiser
from widenet.train.process import tune_process
from widenet_supermask.variants.edge_popup import EdgePopup


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


def dense(net: nn.Module) -> nn.Module:
    """Train the weights."""
    return net


def masked(kind: Callable[[Tensor, float], nn.Module]) -> Callable[[nn.Module], nn.Module]:
    """Freeze the weights and train the scores of a kind of mask."""

    def make(net: nn.Module) -> nn.Module:
        net.requires_grad_(False)
        attach(net, lambda name, weight: kind(torch.randn(weight.shape) * 0.01, 0.5))
        return net

    return make


VARIANTS = {"dense": dense, "ours": masked(EdgePopup), "sort": masked(SortEveryForward)}


def step_of(net: nn.Module, x: Tensor, y: Tensor) -> Callable[[], None]:
    """One optimiser step of a network."""
    net.to(memory_format=torch.channels_last).train()
    steps = make_optimiser(net, Train(lr=1e-3))

    def step() -> None:
        F.cross_entropy(net(x), y).backward()
        steps.step()
        steps.zero_grad()

    return step


def main() -> None:
    """Print one table row a network and number of threads."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments.add_argument("--rounds", type=int, default=7)
    given = arguments.parse_args()
    print(machine())
    print("\n| network | threads | dense ms | ours / dense | sort / dense | sort / ours |\n|---|---|---|---|---|---|")
    known = {model.name: model for model in models()}
    x = torch.randn(128, 3, 32, 32).to(memory_format=torch.channels_last)
    y = torch.randint(10, (128,))
    for name in ("conv4", "conv8"):
        base = known[name].function((3, 32, 32), 10, known[name].config())
        nets = {variant: make(copy.deepcopy(base)) for variant, make in VARIANTS.items()}
        for threads in given.threads:
            tune_process(threads)
            times = interleaved({variant: step_of(net, x, y) for variant, net in nets.items()}, rounds=given.rounds)
            d, o, s = times["dense"], times["ours"], times["sort"]
            print(f"| {name} | {threads} | {1000 * d:.0f} | {o / d:.3f} | {s / d:.3f} | {s / o:.2f} |", flush=True)


if __name__ == "__main__":
    main()
