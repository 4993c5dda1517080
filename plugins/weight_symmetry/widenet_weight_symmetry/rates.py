"""When pruning removes how much, written as ``2=0.3`` or, for some layers, ``fc1@5=0.6``; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise

import attrs

EVERY = "*"
Step = tuple[int, float]
"""Epochs trained before, and the sparsity from then on."""


@attrs.frozen
class Schedule:
    """Sparsities that layers reach after so many epochs. Of several patterns that fit a layer, the last one counts, alone."""

    patterns: dict[str, tuple[Step, ...]]

    @property
    def last(self) -> int:
        """After how many epochs the last pruning comes; -1 where there is none."""
        return max((epochs for steps in self.patterns.values() for epochs, _ in steps), default=-1)

    def at(self, epoch: int, layer: str, place: int | None = None) -> float | None:
        """The sparsity that a layer is to get at the start of an epoch, or None where it stays as it is.

        Args:
            epoch: counted from 0.
            layer: its path.
            place: its position from 0 among the layers before the last, which patterns of digits mean.
        """
        pattern = self.pattern(layer, place)
        return None if pattern is None else dict(self.patterns[pattern]).get(epoch)

    def pattern(self, layer: str, place: int | None) -> str | None:
        """The pattern that counts for a layer: the last that fits."""
        return next((pattern for pattern in reversed(self.patterns) if matches(pattern, place, layer)), None)

    def check(self, layers: Mapping[str, int]) -> None:
        """Refuse patterns that are for none of these layers, given as path -> position.

        Raises:
            ValueError: naming the first one, and the layers.
        """
        for pattern in self.patterns:
            if not any(matches(pattern, place, name) for name, place in layers.items()):
                listed = ", ".join(f"{place} {name}" for name, place in layers.items())
                raise ValueError(f"rates: no layer {pattern!r} to prune; there are: {listed}")
            if pattern not in {self.pattern(name, place) for name, place in layers.items()}:
                raise ValueError(f"rates: later patterns are for all layers that {pattern!r} is for; leave it out")


def parse(pieces: Sequence[str], of: str = "all") -> Schedule:
    """The schedule of pieces ``[PATTERN@]EPOCHS=SPARSITY``; a pattern fits paths as file names, digits are a position.

    Pieces without a pattern are for layers that no pattern fits, wherever they stand. With ``of`` as ``survivors``, sparsities
    are fractions of what is left and may fall.

    Raises:
        ValueError: a piece of another form, a sparsity outside [0, 1), or epochs or sparsities that go backwards within a
            pattern.
    """
    patterns: dict[str, tuple[Step, ...]] = {EVERY: ()}
    for piece in pieces:
        pattern, step = _parsed(piece)
        patterns[pattern] = (*patterns.get(pattern, ()), step)
    if not patterns[EVERY]:
        del patterns[EVERY]
    for pattern, steps in patterns.items():
        for (epochs, sparsity), (later, higher) in pairwise(steps):
            if later <= epochs or (higher < sparsity and of == "all"):
                raise ValueError(
                    f"rates go backwards for {pattern!r}: {later}={higher} comes after {epochs}={sparsity}; epochs must rise, "
                    "and sparsities must not fall"
                )
    return Schedule(patterns)


def matches(pattern: str, place: int | None, name: str) -> bool:
    """Whether a layer is meant, by its position if the pattern is digits, else by its path."""
    return pattern == str(place) if pattern.isdigit() else fnmatchcase(name, pattern)


def _parsed(piece: str) -> tuple[str, Step]:
    """The pattern and the step of a piece."""
    when, _, sparsity = piece.rpartition("=")
    pattern, sign, epochs = when.rpartition("@")
    try:
        step = int(epochs), float(sparsity)
    except ValueError:
        pattern, sign = "", "@"
    if sign and not pattern:
        raise ValueError(f"rates: {piece!r} is no EPOCHS=SPARSITY, such as 2=0.3 or fc1@5=0.6")
    if step[0] < 0 or not 0 <= step[1] < 1:
        raise ValueError(f"rates: {piece!r} needs epochs from 0 and a sparsity from 0, below 1")
    return pattern or EVERY, step
