"""The outputs of a network's modules, batch by batch; nothing is kept."""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import attrs
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from widenet.errors import UsageError

Reduction = Literal["mean", "max", "flatten", "none"]
SHOWN = 5
"""How many of a network's layers a refusal names."""
INPUT = ":input"
"""What follows a module's path where what it is given is meant, not what it puts out."""


@attrs.frozen(eq=False)
class Batch:
    """Some samples: labels int64 (n,), logits float32 (n, classes) and each layer's output, (n, units) unless not reduced."""

    labels: Tensor
    logits: Tensor
    layers: dict[str, Tensor]


def matching(net: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Paths of the modules that match a pattern (``*`` and ``?`` as in a shell, over dots too), in the network's order.

    A pattern that ends in ``:input`` means what the modules are given, and so do the paths found for it.

    Raises:
        UsageError: a pattern matches nothing; the message names the nearest paths.
    """
    paths = [name for name, _ in net.named_modules() if name]
    found: list[str] = []
    for pattern in patterns:
        suffix = INPUT if pattern.endswith(INPUT) else ""
        plain = pattern.removesuffix(INPUT)
        if not (named := fnmatch.filter(paths, plain)):
            near = difflib.get_close_matches(plain.replace("*", ""), paths, SHOWN, cutoff=0.3) or paths[:SHOWN]
            raise UsageError(f"no layer matches {pattern!r}; the nearest are {', '.join(near)}")
        found += [name + suffix for name in named]
    order = {name: place for place, name in enumerate(paths)}
    return sorted(dict.fromkeys(found), key=lambda name: (order[name.removesuffix(INPUT)], not name.endswith(INPUT)))


def reduced(output: Tensor, reduction: Reduction, channels_last: bool = False) -> Tensor:
    """A module's output (n, ...) as one row of units a sample.

    ``mean`` and ``max`` are over all places (pixels, tokens) of a unit, ``flatten`` makes a unit at each place one of its own,
    and ``none`` leaves the shape alone. Units are axis 1, or the last axis where ``channels_last``.
    """
    if reduction == "none" or output.ndim == 1:
        return output
    if reduction == "flatten" or output.ndim == 2:
        return output.flatten(1)
    places = (output.movedim(-1, 1) if channels_last else output).flatten(2)
    return places.mean(2) if reduction == "mean" else places.amax(2)


def _tokens(net: nn.Module) -> bool:
    """Whether outputs of three axes are (n, tokens, units), and not (n, channels, length) as of convolutions along a line."""
    return not any(isinstance(module, nn.Conv1d) for module in net.modules())


@contextlib.contextmanager
def listening(
    net: nn.Module,
    paths: Sequence[str],
    keep: Callable[[Tensor], Tensor] = lambda output: output,
    reduction: Reduction = "none",
) -> Iterator[dict[str, Tensor]]:
    """A dict that each forward pass fills with what the modules at ``paths`` put out, in the order of their first calls.

    Of a tuple it is the first tensor, of a module called more than once its last output; a silent module leaves nothing.

    Args:
        keep: what is kept of an output after it was reduced, as soon as it is there: the output itself, with its gradient,
            unless it says otherwise.
    """
    heard: dict[str, Tensor] = {}
    tokens = _tokens(net)

    def hear(path: str, values: Any) -> None:
        first = values[0] if isinstance(values, (tuple, list)) and values else values
        if isinstance(first, Tensor) and first.ndim:
            # Kept at once: a module that works in place may follow.
            heard[path] = keep(reduced(first, reduction, tokens and first.ndim == 3))

    def listen(path: str) -> Any:
        module = net.get_submodule(path.removesuffix(INPUT))
        if path.endswith(INPUT):
            return module.register_forward_pre_hook(
                lambda _, given, named: hear(path, (*given, *named.values())), with_kwargs=True
            )
        return module.register_forward_hook(lambda _, inputs, output: hear(path, output))

    handles = [listen(path) for path in paths]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def glance(net: nn.Module, split: Any, paths: Sequence[str], samples: int = 4) -> tuple[dict[str, Tensor], Tensor]:
    """What the modules at ``paths`` put out for the first samples, as :func:`listening` has it, and the logits."""
    was_training = net.training
    net.eval()
    try:
        with listening(net, paths, torch.clone) as heard:
            return heard, net(next(iter(split.batches(samples)))[0])
    finally:
        net.train(was_training)


@torch.inference_mode()
def stream(
    net: nn.Module,
    split: Any,
    paths: Sequence[str],
    reduction: Reduction = "mean",
    batch_size: int = 256,
    start: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Iterator[Batch]:
    """Yield what the modules at ``paths`` put out in evaluation mode, batch by batch, on the CPU; no more is held at a time.

    Args:
        net: maps ``(n, *shape)`` to ``(n, classes)`` logits.
        split: of a :class:`~widenet.data.Data`, on the network's device; read in order, without augmentation.
        start: the first sample to read.
        dtype: of the layers' outputs, which are converted after they were reduced.

    Raises:
        UsageError: a module puts out no tensor, or is not called in a forward pass.
    """
    rest = split.part(torch.arange(start, len(split))) if start else split

    def keep(output: Tensor) -> Tensor:
        return output.detach().to("cpu", dtype, copy=True)

    was_training = net.training
    net.eval()
    try:
        with listening(net, paths, keep, reduction) as heard:
            for x, labels in rest.batches(batch_size):
                heard.clear()
                with parametrize.cached():
                    logits = net(x)
                if silent := [path for path in paths if path not in heard]:
                    raise UsageError(
                        f"layer {silent[0]} puts out nothing in a forward pass; choose the layers inside it, or after it"
                    )
                yield Batch(labels.cpu(), logits.float().cpu(), {path: heard[path] for path in paths})
    finally:
        net.train(was_training)
