"""Training that removes the smallest weights on the way: one-shot and iterative magnitude pruning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from widenet.errors import UsageError
from widenet.masks import Fixed, attach, modules
from widenet.train import fit
from widenet_weight_symmetry.config import Prune
from widenet_weight_symmetry.counting import Counter
from widenet_weight_symmetry.layers import maskable, positions
from widenet_weight_symmetry.magnitude import as_published, magnitude, together
from widenet_weight_symmetry.rates import Schedule, parse
from widenet_weight_symmetry.tracking import Tracker


def pruned(run: Any, net: nn.Module, data: Any, config: Prune) -> dict[str, Any]:
    """Train and prune; the symmetry that the masks leave is logged every epoch."""
    weights = maskable(net, config.masked_layers)
    schedule = planned(config, started=bool(run.record["parents"]))
    try:
        schedule.check(positions(net, config.masked_layers))
    except ValueError as error:
        raise UsageError(str(error)) from None
    given = modules(net)
    attach(net, lambda name, weight: Fixed(torch.ones_like(weight)) if name in weights and name not in given else None)
    pruner = Pruner(run, net, config, schedule)
    pruner.rehearse()
    counter, tracker = Counter(net, data.shape), Tracker(run, net)

    def also(values: Mapping[str, Any]) -> dict[str, Any]:
        return {**tracker(values), **counter.logged("mask")}

    run.log({"epoch": 0, "step": 0, **counter.logged("mask")})
    for _ in fit(run, net, data, config, before=pruner.before, also=also, gradient_norm=True):
        pass
    return counter.result()


def planned(config: Prune, started: bool) -> Schedule:
    """When how much is removed; ``started`` says whether the network comes from a run."""
    if config.rates:
        return parse(config.rates, config.of)
    after = config.prune_after
    if after is None:
        after = 0 if started else config.epochs // 2
    return parse([f"{after}={config.sparsity}"])


class Pruner:
    """Sets the masks of a network, which are all :class:`~widenet.masks.Fixed`, by a schedule."""

    def __init__(self, run: Any, net: nn.Module, config: Prune, schedule: Schedule) -> None:
        self.run, self.config, self.schedule = run, config, schedule
        self.weights, self.places = maskable(net, config.masked_layers), positions(net, config.masked_layers)
        self.masks = {name: module.mask for name, module in modules(net).items() if name in self.weights}
        self.first = [(parameter, parameter.detach().clone()) for parameter in net.parameters()] if config.rewind else []

    @torch.no_grad()
    def before(self, epoch: int) -> None:
        """Prune what is due before epoch ``epoch`` (from 1), by the weights as they then are."""
        due = self._due(epoch)
        for rate, names in due.items():
            self._prune(names, rate)
            sparsity = 1 - sum(int(self.masks[name].sum()) for name in names) / sum(self.masks[name].numel() for name in names)
            which = "" if len(names) == len(self.weights) else f" of {', '.join(names)}"
            self.run.say(f"pruned before epoch {epoch}: {sparsity:.2%} of the weights{which} are zero")
        for parameter, first in self.first if due else []:
            parameter.copy_(first)

    @torch.no_grad()
    def rehearse(self) -> None:
        """Prune as the schedule says and undo it, so that what would fail then fails now.

        Raises:
            UsageError: the floor, rounded up in every layer, leaves more weights than a sparsity does.
        """
        if not self.config.floor:
            return
        given = {name: mask.clone() for name, mask in self.masks.items()}
        try:
            for epoch in range(1, self.config.epochs + 1):
                for rate, names in self._due(epoch).items():
                    self._prune(names, rate)
        except ValueError as error:
            raise UsageError(str(error)) from None
        finally:
            for name, mask in given.items():
                self.masks[name].copy_(mask)

    def _due(self, epoch: int) -> dict[float, list[str]]:
        """Sparsity -> layers that get it before an epoch (from 1)."""
        due: dict[float, list[str]] = {}
        for name, place in self.places.items():
            if (rate := self.schedule.at(epoch - 1, name, place)) is not None:
                due.setdefault(rate, []).append(name)
        return due

    def _prune(self, names: list[str], rate: float) -> None:
        """Prune layers to the same rate."""
        for name, mask in self._chosen(names, rate).items():
            self.masks[name].copy_(mask)

    def _chosen(self, names: list[str], rate: float) -> dict[str, Tensor]:
        """The new masks of layers that are pruned to the same rate."""
        weights, masks = {name: self.weights[name] for name in names}, {name: self.masks[name] for name in names}
        if self.config.scope == "global":
            return together(weights, masks, rate, self.config.of, floor=self.config.floor)
        if self.config.compat == "original":
            return {name: as_published(weight, rate, masks[name]) for name, weight in weights.items()}
        return {name: magnitude(weight, rate, masks[name], self.config.of) for name, weight in weights.items()}
