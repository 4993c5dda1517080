"""A masked network as a coloured graph whose automorphisms are the permutations of units that leave its masks as they are."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import attrs
import numpy as np
from torch import Tensor

from widenet_weight_symmetry.structure import Space, Structure, columns_of, rows_of

LARGEST = 1 << 31
"""Bits between the members of two spaces above which it is not tried."""


class TooLarge(Exception):
    """The graph would not fit into memory."""


@attrs.frozen(eq=False)
class Graph:
    """``edges`` int64 (m, 2) between vertices, each of one of the ``colours`` int64 (n,)."""

    edges: np.ndarray
    colours: np.ndarray


@attrs.frozen(eq=False)
class Part:
    """Members of a space that are vertices: ``chosen`` int64 (n,), their places in it; ``sizes`` are those of their classes."""

    space: Space
    chosen: np.ndarray
    sizes: np.ndarray


def graph_of(structure: Structure, parts: Sequence[Part], check: Callable[[], None]) -> Graph:
    """The graph of these members; inputs, and units that are in none of the parts, stay where they are.

    What a member reads of these, and who of these reads it, makes its colour. Between two members stands what the masks of all
    layers say of them: the commonest word is no edge, the next an edge, each other a vertex of its own colour between them.

    Args:
        parts: of different spaces that are not fixed.
        check: called now and then; may raise.

    Raises:
        TooLarge: it would not fit into memory.
    """
    colours: list[Hashable] = []
    for number, part in enumerate(parts):
        own = _own(structure, part, parts)
        colours += [(number, size, bits.tobytes()) for size, bits in zip(part.sizes.tolist(), own, strict=True)]
        check()
    starts = np.cumsum([0, *(len(part.chosen) for part in parts)]).tolist()
    drawing = Drawing(colours)
    for first, part in enumerate(parts):
        for second, other in enumerate(parts[: first + 1]):
            words = _words(structure, part, other)
            if words is not None and first == second:
                drawing.within(starts[first], words)
            elif words is not None:
                drawing.between(starts[first], starts[second], words)
            check()
    return drawing.graph()


def _own(structure: Structure, part: Part, parts: Sequence[Part]) -> np.ndarray:
    """uint8 (n, bytes): what the masks say of each member and what is in no part, and its biases'."""
    found = [np.zeros((len(part.chosen), 0), bool)]
    for name, rows in part.space.rows.items():
        layer = structure.layers[name]
        if layer.block is not None:
            bits = _bools(rows_of(layer.block, rows[part.chosen]))
            others = np.ones(bits.shape[-2], bool)
            for one in parts:
                others[one.space.columns.get(name, np.zeros(0, np.int64)).ravel()] = False
            found.append(bits[..., others, :].reshape(len(part.chosen), -1))
        if layer.bias is not None:
            found.append(_bools(layer.bias)[rows[part.chosen]])
    for name, columns in part.space.columns.items():
        layer = structure.layers[name]
        if layer.block is not None:
            others = np.ones(layer.units, bool)
            for one in parts:
                others[one.space.rows.get(name, np.zeros(0, np.int64)).ravel()] = False
            bits = _bools(columns_of(layer.block, columns[part.chosen]))[others]
            found.append(bits.transpose(1, 0, 2).reshape(len(part.chosen), -1))
    return np.packbits(np.concatenate(found, axis=1), axis=1)


def _words(structure: Structure, part: Part, other: Part) -> np.ndarray | None:
    """int64 (n, m): alike where all masks say the same of a member and one of the other part; None where they always do."""
    bits = [*_between(structure, part, other)]
    if part is not other:
        bits += [each.transpose(1, 0, 2) for each in _between(structure, other, part)]
    if sum(each.size for each in bits) > LARGEST:
        raise TooLarge
    if not bits:
        return None
    every = np.packbits(np.concatenate(bits, axis=2), axis=2)
    flat = np.ascontiguousarray(every.reshape(-1, every.shape[2]))
    words = flat.view(np.dtype((np.void, flat.shape[1]))).ravel() if flat.shape[1] > 1 else flat.ravel()
    return np.unique(words, return_inverse=True)[1].reshape(every.shape[:2])


def _between(structure: Structure, reader: Part, read: Part) -> Iterator[np.ndarray]:
    """For every layer in both, bool (n, m, bits): what it reads where, by the reader's member and the one it reads."""
    for name in reader.space.rows:
        block = structure.layers[name].block
        if name in read.space.columns and block is not None:
            n, m = len(reader.chosen), len(read.chosen)
            rows = rows_of(block, reader.space.rows[name][reader.chosen])
            bits = columns_of(rows, read.space.columns[name][read.chosen])
            yield _bools(bits).reshape(n, -1, m, bits.shape[2]).transpose(0, 2, 1, 3).reshape(n, m, -1)


def _bools(bits: Tensor) -> np.ndarray:
    found: np.ndarray = bits.cpu().numpy()
    return found


class Drawing:
    """A graph that is drawn step by step; colours are given as anything that can be compared."""

    def __init__(self, colours: Sequence[Hashable]) -> None:
        self.colours = list(colours)
        self.edges: list[np.ndarray] = []

    def between(self, first: int, second: int, words: np.ndarray) -> None:
        """Draw the words (n, m) between vertices from ``first`` on and others from ``second`` on."""
        for rank, word in enumerate(_by_frequency(words)):
            one, other = np.nonzero(words == word)
            if rank == 1:
                self._join(first + one, second + other)
            elif rank > 1:
                self._through((first, second, word), first + one, second + other)

    def within(self, first: int, words: np.ndarray) -> None:
        """Draw the words (n, n) between vertices from ``first`` on; those from i to j and from j to i may differ."""
        for place, word in enumerate(np.diagonal(words).tolist()):
            self.colours[first + place] = (self.colours[first + place], word)
        one, other = np.triu_indices(len(words), 1)
        there, back = words[one, other], words[other, one]
        turned = there > back
        one, other = np.where(turned, other, one), np.where(turned, one, other)
        low, high = np.minimum(there, back), np.maximum(there, back)
        for rank, word in enumerate(_by_frequency(pairs := low * (words.max(initial=0) + 1) + high)):
            chosen = pairs == word
            tails, heads = first + one[chosen], first + other[chosen]
            if (low[chosen] == high[chosen]).all() and rank < 2:
                if rank == 1:
                    self._join(tails, heads)
            elif (low[chosen] == high[chosen]).all():
                self._through((first, word), tails, heads)
            else:  # which of the two ends is which shows in the colours of two vertices between them
                self._join(self._through((first, word, "tail"), tails), self._through((first, word, "head"), heads))

    def _join(self, one: np.ndarray, other: np.ndarray) -> None:
        self.edges.append(np.stack([one, other], axis=1))

    def _through(self, colour: Hashable, *ends: np.ndarray) -> np.ndarray:
        """A new vertex of the colour for each place, joined to the vertices there; returns the new ones."""
        new = np.arange(len(self.colours), len(self.colours) + len(ends[0]))
        self.colours += [("between", colour)] * len(new)
        for end in ends:
            self._join(new, end)
        return new

    def graph(self) -> Graph:
        """What was drawn."""
        numbers: dict[Hashable, int] = {}
        colours = [numbers.setdefault(colour, len(numbers)) for colour in self.colours]
        return Graph(np.concatenate([np.zeros((0, 2), np.int64), *self.edges]), np.array(colours, np.int64))


def _by_frequency(words: np.ndarray) -> list[int]:
    """The distinct words, the commonest first."""
    distinct, counts = np.unique(words, return_counts=True)
    found: list[int] = distinct[np.argsort(-counts, kind="stable")].tolist()
    return found
