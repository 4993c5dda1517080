"""Names of a foreign state dict brought to those of a network, where it is certain which tensor is meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import attrs
import torch
from torch import Tensor

State = dict[str, Tensor]
HEADS = ("linear", "fc", "classifier")
"""What networks call the classifier that they end with."""
OLD_NAMES = (
    (re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.(\d\..+)"), r"\1\2"),
    (re.compile(r"(.*\.mlp)\.linear_1\.(.+)"), r"\1.0.\2"),
    (re.compile(r"(.*\.mlp)\.linear_2\.(.+)"), r"\1.3.\2"),
)
"""Names in torchvision's published files of DenseNets and vision transformers, and those that its networks have now."""


@attrs.frozen
class Renamed:
    """A state dict under a network's names as far as they could be told, and what was done to it."""

    state: State
    said: tuple[str, ...] = ()
    """Names that were translated."""
    noted: tuple[str, ...] = ()
    """Tensors that the file holds twice, of which one is left out."""


def renamed(state: State, expected: Mapping[str, Tensor]) -> Renamed:
    """The tensors under the names of the network whose state dict is ``expected``, where they go by others."""
    result = _brought_up_to_date(state, expected)
    own = next((head for head in HEADS if below(head, expected)), "")
    for other in HEADS:
        if own and not below(other, expected):
            result = _one_head(result, expected, own, other)
    return result


def below(head: str, state: Mapping[str, Tensor]) -> State:
    """The tensors of a module, by their names inside it."""
    return {name.removeprefix(f"{head}."): value for name, value in state.items() if name.startswith(f"{head}.")}


def _brought_up_to_date(state: State, expected: Mapping[str, Tensor]) -> Renamed:
    """With torchvision's older names replaced, where the network has the new ones."""
    new = {name: next((old.sub(by, name) for old, by in OLD_NAMES if old.fullmatch(name)), name) for name in state}
    new = {old: name for old, name in new.items() if old not in expected and name in expected and name not in state}
    said = (f"{len(new)} tensors under older names of torchvision, as {next(iter(new))}",) if new else ()
    return Renamed({new.get(name, name): value for name, value in state.items()}, said)


def _one_head(before: Renamed, expected: Mapping[str, Tensor], own: str, other: str) -> Renamed:
    """With the classifier ``other`` under the network's name for it, or left out where it is there under both."""
    mine, theirs = below(own, before.state), below(other, before.state)
    if theirs and not mine and _alike(theirs, below(own, expected), _same_shape):
        state = {_moved(name, other, own): value for name, value in before.state.items()}
        return attrs.evolve(before, state=state, said=(*before.said, f"{other}, which the network calls {own}"))
    if theirs and _alike(theirs, mine, _same_values):
        state = {name: value for name, value in before.state.items() if not name.startswith(f"{other}.")}
        return attrs.evolve(before, state=state, noted=(*before.noted, f"{other} is {own} once more, left out"))
    return before


def _moved(name: str, old: str, new: str) -> str:
    return f"{new}.{name.removeprefix(f'{old}.')}" if name.startswith(f"{old}.") else name


def _alike(one: State, other: State, same: Callable[[Tensor, Tensor], bool]) -> bool:
    return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())


def _same_shape(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape


def _same_values(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)
