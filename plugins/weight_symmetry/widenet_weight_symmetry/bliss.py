"""Counts the automorphisms of a coloured graph, by bliss through igraph; run as a process of its own, which can be ended.

Reads ``edges`` (m, 2) and ``colours`` (n,) as NumPy's npz from standard input, and prints the number in decimal digits.
"""

import io
import sys

import numpy as np


def count(edges: np.ndarray, colours: np.ndarray) -> int:
    """Permutations of the vertices that keep edges and colours as they are."""
    import igraph

    graph = igraph.Graph(n=len(colours), edges=edges.tolist())
    found: int = graph.count_automorphisms(color=colours.tolist())
    return found


if __name__ == "__main__":
    sys.set_int_max_str_digits(0)  # igraph itself reads the number from text
    with np.load(io.BytesIO(sys.stdin.buffer.read())) as given:
        sys.stdout.write(str(count(given["edges"], given["colours"])))
