"""Points of a network where something is changed: what a module puts out, or what it is given; and when each is reached."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from widenet.capture import INPUT
from widenet.errors import UsageError

Change = Callable[[Tensor], Tensor | None]
"""What a value becomes; None leaves it as it is."""


@attrs.frozen
class Point:
    """A module's output, by its path, or with ``:input`` behind it what the module is given (its first tensor)."""

    name: str

    @property
    def path(self) -> str:
        """The module's path."""
        return self.name.removesuffix(INPUT)

    @property
    def given(self) -> bool:
        """Whether it is what the module is given."""
        return self.name.endswith(INPUT)


@contextlib.contextmanager
def evaluating(net: nn.Module, cached: bool = False) -> Iterator[None]:
    """A network in evaluation mode for a while, its masked weights multiplied out once where ``cached``."""
    was_training = net.training
    net.eval()
    try:
        with parametrize.cached() if cached else contextlib.nullcontext():
            yield
    finally:
        net.train(was_training)


@contextlib.contextmanager
def changed(net: nn.Module, changes: Sequence[tuple[Point, Change]]) -> Iterator[None]:
    """Apply each change to the value at its point in every forward pass, by hooks; of a tuple to its first tensor.

    Raises:
        UsageError: in the forward pass, where a module puts out or is given no tensor.
    """
    handles = [_hook(net.get_submodule(point.path), point, change) for point, change in changes]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(module: nn.Module, point: Point, change: Change) -> Any:
    if point.given:

        def before(_: nn.Module, given: tuple[Any, ...]) -> Any:
            return _first(given, point, change)

        return module.register_forward_pre_hook(before)

    def after(_: nn.Module, given: Any, output: Any) -> Any:
        if isinstance(output, Tensor):
            return change(output)
        return _first(output, point, change)

    return module.register_forward_hook(after)


def _first(values: Any, point: Point, change: Change) -> Any:
    if not isinstance(values, (tuple, list)) or not values or not isinstance(values[0], Tensor):
        raise UsageError(f"layer {point.name} is no tensor in a forward pass; choose the layers inside it, or after it")
    new = change(values[0])
    return None if new is None else (new, *values[1:])


@attrs.define(eq=False)
class Call:
    """One call of a module in a forward pass: the ticks at which it began and ended, and the number of the call around it."""

    path: str
    around: int
    began: int
    ended: int = -1


@torch.inference_mode()
def calls(net: nn.Module, x: Tensor) -> list[Call]:
    """The calls of all modules in a forward pass of ``x``, in the order in which they began; the network's own is left out."""
    made: list[Call] = []
    stack: list[int] = []
    ticks = 0

    def tick() -> int:
        nonlocal ticks
        ticks += 1
        return ticks

    def begin(path: str) -> Any:
        def hook(_: nn.Module, given: Any) -> None:
            made.append(Call(path, stack[-1] if stack else -1, tick()))
            stack.append(len(made) - 1)

        return hook

    def end(_: nn.Module, given: Any, output: Any) -> None:
        made[stack.pop()].ended = tick()

    # Masks are left out: their products are kept over a pass, so they are called in its first batch only.
    named = [(path, module) for path, module in net.named_modules() if path and ".parametrizations." not in f".{path}."]
    handles = [module.register_forward_pre_hook(begin(path)) for path, module in named]
    handles += [module.register_forward_hook(end) for _, module in named]
    try:
        net(x)
    finally:
        for handle in handles:
            handle.remove()
    return made


def reached(made: Sequence[Call], point: Point) -> int:
    """The tick at which a point is first reached.

    Raises:
        UsageError: its module is not called in a forward pass.
    """
    for call in made:
        if call.path == point.path:
            return call.began if point.given else call.ended
    raise UsageError(f"layer {point.name} is not reached in a forward pass; choose the layers inside it, or after it")


def axis(net: nn.Module, value: Tensor) -> int:
    """The axis of a value's units: 1, or the last one where three axes are (n, tokens, units) and not those of Conv1d."""
    tokens = value.ndim == 3 and not any(isinstance(module, nn.Conv1d) for module in net.modules())
    return 2 if tokens else 1
