"""Gaussian inputs, labelled by a random network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from widenet.data import Data, Images
from widenet.errors import WnError

if TYPE_CHECKING:
    from widenet_frivolous.datasets import Teacher

BLOCK = 4_000_000
"""Numbers drawn at a time."""
PATIENCE = 1000
"""How many times as many samples as are asked for may be drawn before a class counts as too rare."""


def teacher(d: int, hidden: int, classes: int, stds: tuple[float, ...], seed: int) -> nn.Sequential:
    """A network d -> ``hidden`` ReLUs -> ``classes``, its weights normal with these deviations, cut at two; biases 0."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(d, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, classes, bias=False))
    for weight, std in zip(net.parameters(), stds, strict=True):
        nn.init.trunc_normal_(weight, 0.0, std, -2 * std, 2 * std, generator=generator)
    return net


def load(config: Teacher) -> Data:
    """Return samples ``x ~ N(0, I_d)`` labelled with the class for which the teacher's output is largest.

    Each split has a stream of its own, so that the number of samples of one does not change another.

    Raises:
        WnError: samples of every class are asked for, and the teacher hardly ever gives one of them.
    """
    net = teacher(config.d, config.hidden, config.classes, config.stds, config.teacher_seed)
    splits = {}
    for stream, (name, count) in enumerate({"train": config.train, "val": config.val, "test": config.test}.items()):
        generator = torch.Generator().manual_seed(3 * config.seed + stream)
        if count:
            splits[name] = _samples(net, config, count, generator)
    return Data("gaussian-teacher", splits["train"], splits["test"], (config.d,), config.classes, splits.get("val"))


def _samples(net: nn.Sequential, config: Teacher, count: int, generator: torch.Generator) -> Images:
    """``count`` samples; where ``balance``, as many of every class (the first classes may have one more)."""
    wanted = [len(range(label, count, config.classes)) if config.balance else count for label in range(config.classes)]
    found: list[tuple[Tensor, Tensor]] = []
    missing, drawn = count, 0
    for x, y in _stream(net, config.d, generator):
        taken = _first(y, wanted, missing)
        found.append((x[taken], y[taken]))
        missing, drawn = missing - len(taken), drawn + len(x)
        if not missing:
            break
        if drawn > PATIENCE * count:
            rare = next(label for label, left in enumerate(wanted) if left)
            raise WnError(
                f"gaussian-teacher: its teacher hardly ever gives class {rare}; choose another teacher_seed, or leave balance "
                "out"
            )
    return Images(torch.cat([x for x, _ in found]), torch.cat([y for _, y in found]))


@torch.no_grad()
def _stream(net: nn.Sequential, d: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Samples (n, d) and their labels (n,), without end."""
    while True:
        x = torch.randn(max(1, BLOCK // d), d, generator=generator)
        yield x, net(x).argmax(1)


def _first(labels: Tensor, wanted: list[int], missing: int) -> Tensor:
    """Indices of the first samples of which some are still wanted, ``missing`` in all; what is taken is no longer wanted."""
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label, left in enumerate(wanted):
        members = (labels == label).nonzero().flatten()[:left]
        chosen[members] = True
    taken = chosen.nonzero().flatten()[:missing]
    for label, number in enumerate(labels[taken].bincount(minlength=len(wanted)).tolist()):
        wanted[label] -= number
    return taken
