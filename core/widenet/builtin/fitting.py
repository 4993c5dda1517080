"""A state dict from elsewhere, held against a network: what it takes, what lies beside it, and what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import attrs
from torch import Tensor

from widenet.builtin.renaming import HEADS, State, renamed

FIRST = 3
"""Tensors in a message before it says how many more there are."""
COUNTER = "num_batches_tracked"
"""Of batch normalisation; older files lack it, and nothing but its own training reads it."""
MISSING = "missing"


@attrs.frozen
class Fitted:
    """What becomes of each tensor of a file, and of each that a network needs."""

    taken: State
    """For the network, in its names and its shapes."""
    beside: State
    """Kept beside the network, as asked for."""
    left: State
    """Without a place in the network, or not in the shape of their place."""
    faults: Mapping[str, Sequence[str]]
    """What does not fit, a line a tensor, by what is wrong with it; kinds without any are left out."""
    hints: Sequence[str]
    """What in the data set could be to blame."""
    said: Sequence[str]
    """Names that were translated."""
    noted: Sequence[str]
    """Tensors that the file holds twice."""

    def refusal(self, file: Path, arch: str) -> str:
        """The line that says why the file is refused, and what to do."""
        lines = [line for part in self.faults.values() for line in part]
        counts = ", ".join(f"{len(part)} {kind}" for kind, part in self.faults.items())
        advice = f"it {' and '.join(self.hints)}: another --dataset?" if self.hints else "another --arch or --dataset?"
        rest = " --partial takes what fits" if self.taken else ""
        return f"{file} does not fit {arch}: {first(lines)} (in all {counts}); {advice}{rest}"


def first(lines: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(lines) - FIRST} more" if len(lines) > FIRST else ""
    return ", ".join(lines[:FIRST]) + more


def fit(found: State, expected: Mapping[str, Tensor], extra: Sequence[str]) -> Fitted:
    """Give each tensor of ``found`` its place among those of a network, or beside it.

    Args:
        found: tensors by name.
        expected: the network's state dict.
        extra: shell patterns of names that belong beside the network, where it has no tensor of that name.
    """
    names = renamed(found, expected)
    state = names.state
    taken = {name: state[name] for name, like in expected.items() if name in state and _fits(state[name], like)}
    strange = {name: value for name, value in state.items() if name not in expected}
    beside = {name: value for name, value in strange.items() if any(fnmatchcase(name, pattern) for pattern in extra)}
    left = {name: value for name, value in state.items() if name not in taken and name not in beside}
    faults = _faults(state, left, expected)
    return Fitted(taken, beside, left, faults, _hints(state, expected), names.said, names.noted)


def _fits(value: Tensor, like: Tensor) -> bool:
    """Whether it can be copied there: in the same shape, and without dropping an imaginary part."""
    return value.shape == like.shape and value.is_complex() <= like.is_complex()


def _form(value: Tensor) -> str:
    """What decides whether it fits, as people read it."""
    return f"{'complex ' if value.is_complex() else ''}{tuple(value.shape)}"


def _faults(state: State, left: State, expected: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """A line a tensor that does not fit, by what is wrong with it."""
    faults = {
        "of another shape": [
            f"{name} is {_form(value)} in the file, {_form(expected[name])} in the network"
            for name, value in left.items()
            if name in expected
        ],
        MISSING: [
            f"{name} {_form(like)} is missing"
            for name, like in expected.items()
            if name not in state and name.rpartition(".")[2] != COUNTER
        ],
        "without a place": [f"{name} {_form(value)} has no place" for name, value in left.items() if name not in expected],
    }
    return {kind: lines for kind, lines in faults.items() if lines}


def _hints(state: State, expected: Mapping[str, Tensor]) -> list[str]:
    """Whether the file's first convolution takes other channels, or its last layer tells other classes apart."""
    stem = next((name for name, like in expected.items() if like.ndim == 4), "")
    last = [*expected][-1]
    places = [(stem, [stem], 1, "takes {} channels"), (last, [last, *_elsewhere(last)], 0, "has {} classes")]
    hints = []
    for own, names, axis, text in places:
        value = next((state[name] for name in names if name in state), None)
        if value is not None and value.ndim == expected[own].ndim > axis and value.shape[axis] != expected[own].shape[axis]:
            hints.append(f"{text.format(value.shape[axis])}, the data set has {expected[own].shape[axis]}")
    return hints


def _elsewhere(name: str) -> list[str]:
    """What else a tensor of the classifier may be called."""
    head, _, rest = name.partition(".")
    return [f"{other}.{rest}" for other in HEADS] if head in HEADS else []
