"""The optimiser steps of several networks at once: their weights stacked, one forward pass for all by ``torch.func.vmap``.

A step of a small network costs its operations' overhead, not their arithmetic; stacked, all share it. Optimisers work
element by element, so one over stacked weights does for each network what its own would.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.conv import _ConvNd
from torch.utils.flop_counter import FlopCounterMode

from widenet.data import Images
from widenet.errors import Stopped, WnError
from widenet.masks import Fixed, modules
from widenet.train.evaluate import hits
from widenet.train.steps import GLANCE, Steps

Outcome = dict[str, float] | WnError
SMALL = 40e6
"""Floating-point operations of a step up to which its overhead outweighs them on a CPU (``benchmarks/stack.py``)."""
FEW = 300_000
"""Parameters of a network up to which a CPU's caches still hold what a step moves of all."""
SMALL_ON_GPU = 5e9
STEP = "step"
"""What in the state of a parameter is no tensor like it: how often Adam has moved it, which is the same in every run."""


def pays(net: nn.Module, shape: Sequence[int], batch_size: int, device: torch.device) -> bool:
    """Whether several of these networks train faster stacked than one after the other, by the size of a step.

    Not with convolutions on a CPU: stacked they become grouped ones, which lose as soon as they are not very small.
    """
    convolutions = any(isinstance(module, _ConvNd) for module in net.modules())
    if device.type == "cpu" and (convolutions or sum(parameter.numel() for parameter in net.parameters()) > FEW):
        return False
    training = net.training
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net.eval()(torch.zeros(batch_size, *shape, device=device))
    net.train(training)
    return 3 * counter.get_total_flops() <= (SMALL if device.type == "cpu" else SMALL_ON_GPU)


def epoch(crew: Sequence[Steps], number: int) -> list[Outcome] | str:
    """Train epoch ``number`` of every run, stacked: the metrics of each, or the error that ended it.

    Where they cannot be stacked, why; empty for one alone. Their networks are then as they were.
    """
    if len(crew) == 1:
        return ""
    if reason := next(filter(None, (hindrance(steps, crew[0]) for steps in crew)), ""):
        return reason
    try:
        stack = Stack(crew)
        made = stack.epoch(number)
    except Stopped:
        raise
    except Exception as error:  # whatever it is, each may do without what failed, or fails with a word of its own
        return f"their network cannot be stacked ({' '.join(str(error).split())[:120]})"
    stack.hand_back()
    return made


def hindrance(steps: Steps, first: Steps) -> str:
    """Why a run cannot be stacked with the first; empty where it can."""
    if steps.stepped is not None or steps.loss is not None:
        return "the method does something of its own in every step"
    if not all(isinstance(mask, Fixed) for mask in modules(steps.net).values()):
        return "their masks move with the weights"
    if steps.config.compile:
        return "their networks are compiled"
    if not any(parameter.requires_grad for parameter in steps.net.parameters()):
        return "nothing trains in this epoch"
    if steps.config != first.config or _form(steps) != _form(first):
        return "their networks, data or options differ"
    return ""


def _form(steps: Steps) -> tuple[object, ...]:
    """What must be alike in networks and data that one forward pass is to serve."""
    tensors = [*steps.net.named_parameters(), *steps.net.named_buffers()]
    shapes = {name: (tensor.shape, tensor.dtype, tensor.requires_grad) for name, tensor in tensors}
    return str(steps.net), shapes, len(steps.split), steps.gradient_norm


class Stack:
    """Networks and optimisers of several runs as one, for an epoch."""

    def __init__(self, crew: Sequence[Steps]) -> None:
        self.crew, self.first = crew, crew[0]
        self.parameters = _stacked([dict(steps.net.named_parameters()) for steps in crew])
        self.buffers = _stacked([dict(steps.net.named_buffers()) for steps in crew])
        for name, parameter in self.first.net.named_parameters():
            self.parameters[name].requires_grad_(parameter.requires_grad)
        self.optimiser = self._optimiser()

    def epoch(self, number: int) -> list[Outcome]:
        """Pass once over the data of each."""
        first, size, count = self.first, self.first.config.batch_size, self.first.count
        first.run.seed_everything("stacked", first.loop, number)  # for dropout; the streams stand where some run left them
        for steps in self.crew:
            steps.net.train()
        shape, device = (count, len(self.crew)), first.run.device
        losses, norms = torch.zeros(shape, device=device), torch.zeros(shape, device=device)
        right = torch.zeros(2, len(self.crew), dtype=torch.int64, device=device)
        seen, glance = 0, time.perf_counter() + GLANCE
        for step, (x, y) in enumerate(self._batches(number, size)):
            if step == count:
                continue
            logits, loss = self._step(x, y, norms[step])
            losses[step] = loss * y.shape[1]
            right += hits(logits, y)
            seen += y.shape[1]
            if time.perf_counter() > glance:
                among = seen * len(self.crew)
                means = {"loss": float(losses.sum()) / among, "accuracy": float(right[0].sum()) / among}
                first.run.reporter.step(number, first.config.epochs, (step + 1) / count, means)
                glance = time.perf_counter() + GLANCE
        return [
            self._values(k, number, losses[:, k], norms[:, k], right[:, k], seen, logits.shape[2])
            for k in range(len(self.crew))
        ]

    def _values(self, k: int, number: int, losses: Tensor, norms: Tensor, right: Tensor, seen: int, classes: int) -> Outcome:
        tally = self.crew[k].tally()
        tally.losses, tally.norms, tally.hits = losses, norms, right
        tally.seen, tally.classes = seen, classes
        try:
            return self.crew[k].values(tally, number)
        except WnError as error:
            return error

    def _step(self, x: Tensor, y: Tensor, norms: Tensor) -> tuple[Tensor, Tensor]:
        """One step of all, on inputs (K, n, ...): logits (K, n, classes) and losses (K,) before it; fills ``norms``."""
        config = self.first.config
        with torch.autocast(x.device.type, torch.bfloat16, enabled=config.amp):
            logits, self.buffers = vmap(self._forward, randomness="different")(self.parameters, self.buffers, x)
            each = F.cross_entropy(logits.flatten(0, 1), y.flatten(), label_smoothing=config.label_smoothing, reduction="none")
        losses = each.view(y.shape).mean(1)
        losses.sum().backward()
        if self.first.gradient_norm:
            squares = [p.grad.reshape(len(p), -1).square().sum(1) for p in self.parameters.values() if p.grad is not None]
            norms.copy_(torch.stack(squares).sum(0).sqrt())
        self.optimiser.step()
        self.optimiser.zero_grad()
        return logits.detach(), losses.detach()

    def _forward(
        self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits of one network, and its buffers, some of which it may have replaced."""
        tensors = {name: _turned(tensor) for name, tensor in (parameters | buffers).items()}
        logits: Tensor = functional_call(self.first.net, tensors, (x,))
        return logits, {name: _turned(tensors[name].detach()) for name in buffers}

    def _batches(self, number: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of all: inputs (K, n, *shape), labels (K, n)."""
        orders = [steps.run.generator("order", steps.loop, number) for steps in self.crew]
        splits = [steps.split for steps in self.crew]
        if all(_same(split, splits[0]) for split in splits):
            yield from splits[0].stacked(size, orders)
            return
        for batches in zip(*(split.batches(size, order) for split, order in zip(splits, orders, strict=True)), strict=True):
            x, y = zip(*batches, strict=True)
            yield torch.stack(x), torch.stack(y)

    # -- from each to all, and back ------------------------------------------------------------------------------------

    def _optimiser(self) -> torch.optim.Optimizer:
        """The first run's optimiser over the stacked parameters, in the state of all."""
        names = {parameter: name for name, parameter in self.first.net.named_parameters()}
        groups = [
            {**group, "params": [self.parameters[names[parameter]] for parameter in group["params"]]}
            for group in self.first.optimiser.param_groups
        ]
        made = type(self.first.optimiser)(groups)  # type: ignore[call-arg]
        for name, states in self._states():
            if any(states):
                made.state[self.parameters[name]] = _joined(states)
        return made

    def _states(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Name of each parameter that its optimiser moves, and its state in every run's; empty before it has moved."""
        every = [dict(steps.net.named_parameters()) for steps in self.crew]
        moved = {parameter for group in self.first.optimiser.param_groups for parameter in group["params"]}
        for name in [name for name, parameter in every[0].items() if parameter in moved]:
            yield name, [steps.optimiser.state.get(own[name], {}) for steps, own in zip(self.crew, every, strict=True)]

    @torch.no_grad()
    def hand_back(self) -> None:
        """Give networks and optimisers their new state."""
        stacked = self.parameters | self.buffers
        for k, steps in enumerate(self.crew):
            own = dict(steps.net.named_parameters())
            for name, tensor in [*own.items(), *steps.net.named_buffers()]:
                tensor.copy_(_turned(stacked[name][k]))
            for name, parameter in own.items():
                for key, value in self.optimiser.state.get(self.parameters[name], {}).items():
                    made = value.clone() if key == STEP else torch.empty_like(parameter).copy_(_turned(value[k]))
                    steps.optimiser.state[parameter][key] = made


def _joined(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The optimiser state of a parameter in all runs as one.

    Raises:
        ValueError: the runs have not moved it equally often.
    """
    first = states[0]
    if any(state.keys() != first.keys() or bool(state.get(STEP, 0) != first.get(STEP, 0)) for state in states):
        raise ValueError("their optimisers have not made equally many steps")
    return {key: first[key].clone() if key == STEP else _piled([state[key] for state in states]) for key in first}


def _stacked(every: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: _piled([tensors[name].detach() for tensors in every]) for name in every[0]}


def _piled(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of all runs as one, (K, ...); matrices turned."""
    return torch.stack([_turned(tensor) for tensor in tensors])


def _turned(tensor: Tensor) -> Tensor:
    """A matrix transposed, anything else as it is: batched products give the gradients of matrices transposed."""
    return tensor.mT if tensor.dim() == 2 else tensor


def _same(split: Any, other: Any) -> bool:
    """Whether two splits are the same images, handed out alike."""
    if not type(split) is type(other) is Images:
        return split is other and hasattr(split, "stacked")
    pairs = [(getattr(split, field.name), getattr(other, field.name)) for field in attrs.fields(Images)]
    return all(a is b if isinstance(a, Tensor) else a == b for a, b in pairs)
