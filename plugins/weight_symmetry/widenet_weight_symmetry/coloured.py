"""A masked network as a coloured graph whose automorphisms are the permutations of units that leave its masks as they are."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import attrs
import numpy as np
import torch
from torch import Tensor

from widenet_weight_symmetry.structure import Layer, Space, Structure


@attrs.frozen(eq=False)
class Graph:
    """``edges`` (m, 2) between vertices, each of one of the ``colours`` (n,)."""

    edges: np.ndarray
    colours: np.ndarray


@attrs.frozen(eq=False)
class Part:
    """Members of a space that are vertices, each with what else tells it apart.

    ``chosen`` int64 (n,) are their places in the space; ``marks`` (n,) differ where members must not be exchanged.
    """

    space: Space
    chosen: np.ndarray
    marks: np.ndarray

    def rows(self, name: str) -> np.ndarray:
        """int64 (n, k): their units of a producer."""
        return self.space.rows[name][self.chosen]

    def columns(self, name: str) -> np.ndarray:
        """int64 (n, k): the features at which a consumer reads them."""
        return self.space.columns[name][self.chosen]


def graph_of(structure: Structure, parts: Sequence[Part], check: Callable[[], None]) -> Graph:
    """The graph of these members, in the order of the parts; what is in none of them is fixed.

    Args:
        parts: of different spaces that are not fixed.
        check: called now and then; may raise.
    """
    places = _Places(structure, parts)
    marks: list[Hashable] = []
    for number, part in enumerate(parts):
        own = _own_bits(structure, part, places)
        marks += [(number, mark, bits.tobytes()) for mark, bits in zip(part.marks.tolist(), own, strict=True)]
        check()
    drawn = _Drawing(marks)
    for (first, second), bits in places.links():
        check()
        labels = _labels(bits)
        if first == second:
            drawn.within(places.starts[first], labels)
        else:
            drawn.between(places.starts[first], places.starts[second], labels)
    return drawn.graph()


class _Places:
    """Where the parts lie in the graph and in the layers."""

    def __init__(self, structure: Structure, parts: Sequence[Part]) -> None:
        self.structure, self.parts = structure, parts
        self.starts = np.cumsum([0, *(len(part.chosen) for part in parts)]).tolist()
        self.free_rows = {name: np.zeros(layer.units, bool) for name, layer in structure.layers.items()}
        self.free_columns = {name: np.zeros(layer.features, bool) for name, layer in structure.layers.items()}
        for part in parts:
            for name in part.space.rows:
                self.free_rows[name][part.space.rows[name].ravel()] = True
            for name in part.space.columns:
                self.free_columns[name][part.space.columns[name].ravel()] = True
