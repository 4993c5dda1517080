"""Counts the automorphisms of a coloured graph, by bliss through igraph; run as a process of its own, which can be stopped.

Reads ``edges`` (m, 2) and ``colours`` (n,) as NumPy's npz from standard input, and prints the number in decimal digits.
"""

import io
import sys

import numpy as np


def main() -> None:
    """Count."""
    import igraph

    sys.set_int_max_str_digits(0)  # igraph itself reads a number of any length from text
    with np.load(io.BytesIO(sys.stdin.buffer.read())) as given:
        graph = igraph.Graph(n=len(given["colours"]), edges=given["edges"])
        count = graph.count_automorphisms(color=given["colours"].tolist())
    sys.stdout.write(str(count))


if __name__ == "__main__":
    main()
