"""Batch norm statistics estimated anew under a perturbation, as one does after pruning; the weights stay as they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from widenet_frivolous.perturb import Condition, holding
from widenet_frivolous.points import Call, Point, changed, evaluating, reached

Norms = Mapping[str, tuple[Tensor, Tensor]]
"""Running mean and variance, by the module's path."""


@attrs.frozen(eq=False)
class Recalibrated(Condition):
    """A perturbation with batch norm statistics that were estimated under it."""

    of: Condition
    norms: Norms
    alone = True

    def change(self, net: nn.Module, name: str, value: Tensor, batch: int, intact: Tensor | None) -> Tensor | None:
        """As the perturbation's own."""
        return self.of.change(net, name, value, batch, intact)

    @contextlib.contextmanager
    def within(self, net: nn.Module) -> Iterator[None]:
        """The network with the statistics, and what the perturbation asks for."""
        with self.of.within(net), with_norms(net, self.norms):
            yield

    @property
    def needs_intact(self) -> bool:  # type: ignore[override]
        """As the perturbation's own."""
        return self.of.needs_intact


def behind(net: nn.Module, made: Sequence[Call], points: Sequence[Point]) -> list[str]:
    """Paths of the batch norms that are called behind the first of some points and have statistics of their own."""
    when = min(reached(made, point) for point in points)
    called = dict.fromkeys(call.path for call in made if call.began >= when)
    norms = ((path, net.get_submodule(path)) for path in called)
    return [path for path, module in norms if isinstance(module, _BatchNorm) and module.running_mean is not None]


@torch.no_grad()
def estimated(
    net: nn.Module,
    batches: Iterator[tuple[Tensor, Tensor]],
    paths: Sequence[str],
    points: Sequence[Point],
    condition: Condition,
) -> Norms:
    """The statistics of batch norms under a perturbation: means over batches of what each normalises by in training.

    Values are resampled from the perturbed network's own. The network is left as it was.
    """
    modules: dict[str, Any] = {path: net.get_submodule(path) for path in paths}
    momenta = {path: module.momentum for path, module in modules.items()}
    fresh = [(m.running_mean, 0.0) for m in modules.values()] + [(m.running_var, 1.0) for m in modules.values()]
    with evaluating(net), holding([*fresh, *((m.num_batches_tracked, 0) for m in modules.values())]), condition.within(net):
        try:
            for module in modules.values():
                module.momentum = None  # a plain mean over batches
                module.train()
            for number, (x, _) in enumerate(batches):
                changes = [(p, lambda v, p=p, n=number: condition.change(net, p.name, v, n, None)) for p in points]
                with changed(net, changes):
                    net(x)
            return {path: (module.running_mean.clone(), module.running_var.clone()) for path, module in modules.items()}
        finally:
            for path, module in modules.items():
                module.momentum = momenta[path]


def with_norms(net: nn.Module, norms: Norms) -> contextlib.AbstractContextManager[None]:
    """The network with these batch norm statistics; its own are put back."""
    new = []
    for path, (mean, variance) in norms.items():
        module: Any = net.get_submodule(path)
        new += [(module.running_mean, mean), (module.running_var, variance)]
    return holding(new)
