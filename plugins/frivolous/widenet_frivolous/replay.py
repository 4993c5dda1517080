"""Running only what lies behind a point of a network: what was computed before it is put in from one earlier forward pass.

The network's own forward runs, in which each module that is done before the point returns what it returned in the intact pass.
So nothing is assumed of how modules are joined. Whether it works is tried out, on values at the point that no layer puts out:
they must lead to the logits to which they lead in the whole network, bit for bit, or else everything is computed anew.
"""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import attrs
import torch
from torch import Tensor, nn

from widenet_frivolous.points import Call, Change, Point, changed, reached

Kind = Literal["cut", "around", "whole"]
TOLERANCE = 1e-3
"""Relative difference of logits from which images are taken to depend on the others in their batch."""


@attrs.frozen(eq=False)
class Plan:
    """What a forward pass behind the first of some points needs of the intact pass.

    ``kind`` is ``cut`` where the images reach the logits through that point alone, ``around`` where other paths pass by it
    (a shortcut), ``whole`` where nothing can be put in and the network runs from its start. ``done`` has, by module, how often
    it is called before the point outside of others that are done. ``apart`` says whether images do not depend on one another.
    """

    points: tuple[Point, ...]
    kind: Kind
    done: Mapping[str, tuple[int, ...]]
    apart: bool = False

    @property
    def first(self) -> Point:
        """The point that is reached first."""
        return self.points[0]


@attrs.define(eq=False)
class Kept:
    """What the intact pass of a batch left: its input, the values at points, and what modules returned, call by call."""

    x: Tensor
    values: dict[str, Tensor] = attrs.field(factory=dict)
    outputs: dict[str, dict[int, Any]] = attrs.field(factory=dict)
    logits: Tensor = attrs.field(factory=lambda: torch.empty(0))


def intact(net: nn.Module, x: Tensor, plans: Sequence[Plan], everywhere: bool = False) -> Kept:
    """The intact forward pass of a batch, keeping what ``plans`` need; ``everywhere`` keeps the values of all their points."""
    kept = Kept(x)
    points = {p.name: p for plan in plans if plan.kind != "whole" for p in (plan.points if everywhere else plan.points[:1])}
    points |= {p.name: p for plan in plans if everywhere for p in plan.points}
    wanted: dict[str, dict[int, bool]] = {}
    for plan in plans:
        for path, numbers in plan.done.items():
            for number in numbers:
                whole = wanted.setdefault(path, {})
                whole[number] = whole.get(number, False) or plan.kind == "around"

    def value(name: str) -> Change:
        def keep(tensor: Tensor) -> None:
            if name not in kept.values:  # of a module that is called again, the first
                kept.values[name] = tensor.clone()  # copied, for what follows may work in place

        return keep

    def output(path: str) -> Any:
        seen = 0

        def hook(_: nn.Module, given: Any, result: Any) -> None:
            nonlocal seen
            if seen in wanted[path]:
                kept.outputs.setdefault(path, {})[seen] = _map(result, torch.clone if wanted[path][seen] else _shadow)
            seen += 1

        return hook

    handles = [net.get_submodule(path).register_forward_hook(output(path)) for path in wanted]
    try:
        with changed(net, [(point, value(name)) for name, point in points.items()]):
            kept.logits = net(x.clone())
    finally:
        for handle in handles:
            handle.remove()
    return kept


def _only_once(make: Callable[[], Tensor]) -> Change:
    """Put in a value the first time, and later leave what there is."""
    left = [make]
    return lambda _: left.pop()() if left else None


def replay(net: nn.Module, kept: Kept, plan: Plan, changes: Sequence[Change], copies: int = 1) -> Tensor:
    """The logits with each point's value changed: ``changes[i]`` is given what reaches ``plan.points[i]``.

    The first of them is given the intact value of one batch, and returns ``copies`` batches in a row, all of which go on; so
    are the logits, (copies * n, classes). More than one copy needs a plan of kind ``cut``.
    """
    if plan.kind == "whole":
        with changed(net, list(zip(plan.points, changes, strict=True))):
            return net(kept.x.clone())
    x = kept.x.clone() if plan.kind == "around" else _again(kept.x, copies)
    with _answering(net, kept, plan, copies), changed(net, list(zip(plan.points, _started(kept, plan, changes), strict=True))):
        return net(x)


def _started(kept: Kept, plan: Plan, changes: Sequence[Change]) -> Iterator[Change]:
    """The changes, the first of which is given the intact value in place of what reaches its point."""
    left = [kept.values[plan.first.name]]

    def first(given: Tensor) -> Tensor | None:
        if not left:
            return changes[0](given)
        value = left.pop()
        new = changes[0](value)
        return value.clone() if new is None else new

    yield first
    yield from changes[1:]


@contextlib.contextmanager
def _answering(net: nn.Module, kept: Kept, plan: Plan, copies: int) -> Iterator[None]:
    """Let the modules that are done return what they returned before, as often as they had been called, and then work again."""
    before: dict[nn.Module, Any] = {}
    copy = torch.clone if plan.kind == "around" else lambda tensor: _again(tensor, copies)
    for path, numbers in plan.done.items():
        module = net.get_submodule(path)
        before[module] = module.__dict__.get("forward")
        answers = deque(_map(kept.outputs[path][number], lambda tensor: tensor) for number in numbers)
        module.forward = _answer(answers, module.forward, copy)
    try:
        yield
    finally:
        for module, own in before.items():
            del module.forward
            if own is not None:
                module.forward = own


def _answer(answers: deque[Any], forward: Callable[..., Any], copy: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    return lambda *given, **named: _map(answers.popleft(), copy) if answers else forward(*given, **named)


def _map(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, (tuple, list)):
        return type(value)(_map(part, function) for part in value)
    return value


def _shadow(tensor: Tensor) -> Tensor:
    """Zeros of the same shape that take no memory: they stand for what nothing behind the point reads."""
    return tensor.new_zeros(()).expand(tensor.shape)


def _again(shadow: Tensor, copies: int) -> Tensor:
    """Such zeros for several batches in a row."""
    return shadow.new_zeros(()).expand(copies * shadow.shape[0], *shadow.shape[1:]) if shadow.ndim else shadow


@torch.inference_mode()
def planned(net: nn.Module, x: Tensor, made: Sequence[Call], points: Sequence[Point]) -> Plan:
    """How to run what lies behind ``points``, tried out on a few images ``x``, whose forward pass makes the calls ``made``."""
    order = tuple(sorted(points, key=lambda point: reached(made, point)))
    done = _done(made, order[0])
    kinds: tuple[Kind, ...] = ("cut", "around")
    for kind in kinds:
        plan = Plan(order, kind, done)
        try:
            if _same(net, x, plan):
                return attrs.evolve(plan, apart=kind == "cut" and _apart(net, x, plan))
        except (RuntimeError, TypeError, ValueError, AttributeError, KeyError, IndexError):
            continue  # what is put in does not fit this network's own code
    return Plan(order, "whole", {})


def _done(made: Sequence[Call], point: Point) -> dict[str, tuple[int, ...]]:
    """The outermost calls that have ended when a point is reached, as their numbers among all calls of their module."""
    when = reached(made, point)
    number: Counter[str] = Counter()
    found: dict[str, list[int]] = {}
    for call in made:
        outermost = call.around < 0 or made[call.around].ended > when
        if call.ended <= when and outermost:
            found.setdefault(call.path, []).append(number[call.path])
        number[call.path] += 1
    return {path: tuple(numbers) for path, numbers in found.items()}


def _same(net: nn.Module, x: Tensor, plan: Plan) -> bool:
    """Whether a plan gives the whole network's logits, bit for bit, of values at its first point that no layer puts out.

    For a cut all else that is put in is NaN, so that a value read behind the point cannot go unseen.
    """
    trial = attrs.evolve(plan, kind="around")
    kept = intact(net, x, [trial])
    if plan.kind == "cut":
        kept.x = torch.full_like(x, torch.nan)
        kept.outputs = {path: {number: _map(each, _nan) for number, each in of.items()} for path, of in kept.outputs.items()}
    for new in (kept.values[plan.first.name], _strange(kept, plan)):
        with changed(net, [(plan.first, _only_once(new.clone))]):
            expected = net(x.clone())
        rest: list[Change] = [_nothing] * (len(plan.points) - 1)
        if not torch.equal(expected, replay(net, kept, trial, [_only_once(new.clone), *rest])):
            return False
    return True


def _apart(net: nn.Module, x: Tensor, plan: Plan) -> bool:
    """Whether two batches in a row give the logits of each alone."""
    kept = intact(net, x, [plan])
    parts = [kept.values[plan.first.name], _strange(kept, plan)]
    rest: list[Change] = [_nothing] * (len(plan.points) - 1)
    alone = torch.cat([replay(net, kept, plan, [_only_once(part.clone), *rest]) for part in parts])
    together = replay(net, kept, plan, [_only_once(lambda: torch.cat(parts)), *rest], copies=2)
    return bool((together - alone).abs().amax() <= TOLERANCE * alone.abs().amax())


def _strange(kept: Kept, plan: Plan) -> Tensor:
    """Values of both signs as large as those at the first point."""
    value = kept.values[plan.first.name]
    drawn = torch.randn(value.shape, generator=torch.Generator().manual_seed(0)).to(value)
    return drawn * (value.abs().amax() + 1)


def _nan(tensor: Tensor) -> Tensor:
    return torch.full_like(tensor, torch.nan) if tensor.is_floating_point() else tensor


def _nothing(_: Tensor) -> None:
    """Leave a value as it is."""
