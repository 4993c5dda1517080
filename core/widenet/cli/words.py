"""The words of a command, taken apart and put together anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def without(words: Sequence[str], names: Mapping[str, int]) -> list[str]:
    """The words less some options; ``names`` says of each how many words its value is, as ``{"--seed": 1, "--fresh": 0}``."""
    left, skip = [], 0
    for word in words:
        name, sign, _ = word.partition("=")
        if skip:
            skip -= 1
        elif name in names:
            skip = 0 if sign else names[name]
        else:
            left.append(word)
    return left


def with_seed(words: Sequence[str], seed: int) -> list[str]:
    """The same command with another seed."""
    return [*without(words, {"--seed": 1}), "--seed", str(seed)]
