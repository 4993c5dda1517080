"""Which units belong together: ties between them, found one by one, and the spaces that these leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from widenet_weight_symmetry.structure import FIRST, OUTSIDE, Layer, Space


@attrs.define
class Ties:
    """Numbers of units, what binds them to each other, and which of them are fixed, with the reason."""

    size: int = FIRST
    pairs: list[np.ndarray] = attrs.field(factory=list)
    fixed: list[tuple[np.ndarray, str]] = attrs.field(factory=list)

    def numbers(self, count: int) -> int:
        """The first of so many new numbers."""
        self.size += count
        return self.size - count

    def tie(self, arrays: Sequence[np.ndarray], why: str) -> None:
        """Bind the units at one place: what is done to one must be done to all; with one from outside, they are fixed."""
        for array in arrays[1:]:
            pairs = np.stack([arrays[0], array])
            self.pairs.append(pairs[:, (pairs >= FIRST).all(0)])
            self.fix([pairs[:, (pairs == OUTSIDE).any(0)]], why)

    def fix(self, arrays: Sequence[np.ndarray], why: str) -> None:
        """Say that units cannot be permuted, as far as is known."""
        numbers = np.unique(np.concatenate([array.ravel() for array in arrays])) if arrays else np.zeros(0, np.int64)
        if (numbers >= FIRST).any():
            self.fixed.append((numbers[numbers >= FIRST], why))

    @property
    def unknown(self) -> list[np.ndarray]:
        """Units that are fixed: something that is not known may read them."""
        return [numbers for numbers, _ in self.fixed]

    def roots(self) -> np.ndarray:
        """int64 (size,): for every number the least that it is bound to."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        one, other = np.concatenate([np.zeros((2, 0), np.int64), *self.pairs], axis=1)
        graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(self.size, self.size))
        labels = connected_components(graph, directed=False)[1]
        _, first = np.unique(labels, return_index=True)
        return first[labels]


def spaces(ties: Ties, layers: Mapping[str, Layer], outputs: np.ndarray) -> tuple[Space, ...]:
    """The spaces that ties leave, in the order of their first producers; what is bound to ``outputs`` is in none.

    Bound units are one member. Members are of one space if they are rows of the same layers and read by the same layers, as
    often each.
    """
    root = ties.roots()
    reasons = {number: why for numbers, why in reversed(ties.fixed) for number in root[numbers].tolist()}
    out = set(root[outputs].tolist())
    rows: dict[int, dict[str, list[int]]] = {}
    columns: dict[int, dict[str, list[int]]] = {}
    for name, layer in layers.items():
        for place, number in enumerate(root[layer.numbers].tolist()):
            rows.setdefault(number, {}).setdefault(name, []).append(place)
    for name, layer in layers.items():
        for place, number in enumerate([] if layer.unitwise else root[np.max(np.stack(layer.reads), axis=0)].tolist()):
            if number in rows:
                columns.setdefault(number, {}).setdefault(name, []).append(place)
    groups: dict[tuple[object, ...], list[int]] = {}
    for number, own in rows.items():
        if number not in out:
            counts = [tuple((name, len(places)) for name, places in part.items()) for part in (own, columns.get(number, {}))]
            groups.setdefault((reasons.get(number, ""), *counts), []).append(number)
    found: dict[str, Space] = {}
    for (why, *_), members in groups.items():
        made, read = (
            {name: np.array([part[number][name] for number in members]) for name in part.get(members[0], {})}
            for part in (rows, columns)
        )
        first = next(iter(made))
        before = sum(name.partition(" #")[0] == first for name in found)
        name = f"{first} #{before + 1}" if before else first
        found[name] = Space(name, made, read, str(why))
    return tuple(found.values())
