"""All permutations of units that leave a masked network as it is, those included that move units of several layers at once."""

from __future__ import annotations

import importlib.util
import io
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import attrs
import numpy as np

from widenet.errors import UsageError, WnError
from widenet_weight_symmetry.coloured import Graph, Part, TooLarge, graph_of
from widenet_weight_symmetry.liveness import liveness
from widenet_weight_symmetry.propagate import without_features, without_units
from widenet_weight_symmetry.structure import Structure
from widenet_weight_symmetry.symmetry import members

WORKER = Path(__file__).with_name("bliss.py")


class Automorphisms(NamedTuple):
    """How many there are: ``log10`` of it, and the exact ``number``; where not ``complete``, at least so many."""

    log10: float
    number: int | None
    complete: bool


class _OutOfTime(Exception):
    """The limit is reached."""


def automorphisms(structure: Structure, limit: float) -> Automorphisms:
    """Count the permutations of units, within spaces and of all layers together, that leave every mask as it is.

    Inputs, outputs and the units of spaces that are fixed stay in place; units that read nothing or are not read are left out,
    with all their connections. Units that masks do not tell apart are put together first, t of them give a factor t!; the
    rest is left to a library for graph automorphisms (bliss), in a process of its own that is ended at the limit. The number is
    at least that of :func:`widenet_weight_symmetry.symmetry.count`, which is what stands where the limit is reached.

    Args:
        limit: seconds.

    Raises:
        UsageError: igraph is not installed.
        WnError: igraph fails.
    """
    if importlib.util.find_spec("igraph") is None:
        raise UsageError("exact counts need igraph; pip install 'widenet-weight-symmetry[exact]'")
    end = time.monotonic() + limit
    structure, parts = _collapsed(structure)
    sizes = np.concatenate([np.zeros(0, np.int64), *(part.sizes for part in parts)]).tolist()
    twins = math.fsum(math.lgamma(size + 1) for size in sizes) / math.log(10)

    def check() -> None:
        if time.monotonic() >= end:
            raise _OutOfTime

    try:
        check()
        rest = _counted(graph_of(structure, parts, check), end)
    except (_OutOfTime, TooLarge, MemoryError, subprocess.TimeoutExpired):
        return Automorphisms(twins, None, False)
    return Automorphisms(twins + math.log10(rest), math.prod(map(math.factorial, sizes)) * rest, True)


def _collapsed(structure: Structure) -> tuple[Structure, Sequence[Part]]:
    """The structure without connections of dead units, and one member for every class of those that are alive."""
    live = liveness(structure)
    alive = {space.name: live.of(structure, space)[1] for space in structure.spaces}
    layers = dict(structure.layers)
    for space in structure.spaces:
        for name, rows in space.rows.items():
            if layers[name].block is not None:
                layers[name] = without_units(layers[name], _marked(layers[name].units, rows[~alive[space.name]]))
        for name, columns in space.columns.items():
            if layers[name].block is not None:
                layers[name] = without_features(layers[name], _marked(layers[name].features, columns[~alive[space.name]]))
    structure = attrs.evolve(structure, layers=layers)
    parts = []
    for space in structure.spaces:
        if not space.fixed and alive[space.name].any():
            _, first, sizes = np.unique(members(structure, space, alive[space.name]), return_index=True, return_counts=True)
            parts.append(Part(space, np.flatnonzero(alive[space.name])[first], sizes))
    return structure, parts


def _marked(size: int, places: np.ndarray) -> np.ndarray:
    found = np.zeros(size, bool)
    found[places.ravel()] = True
    return found


def _counted(graph: Graph, end: float) -> int:
    """The automorphisms of a coloured graph.

    Raises:
        TimeoutExpired: it takes longer than until ``end``.
        MemoryError: the process was killed.
        WnError: igraph fails.
    """
    given = io.BytesIO()
    np.savez(given, edges=graph.edges, colours=graph.colours)
    # -P: the folder of the worker must not become one that modules are imported from.
    command = [sys.executable, "-P", str(WORKER)]
    left = max(0.0, end - time.monotonic())
    done = subprocess.run(command, input=given.getvalue(), capture_output=True, timeout=left)
    if done.returncode < 0:
        raise MemoryError
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise WnError(f"igraph could not count the automorphisms ({reason}); leave --exact out")
    return _number(done.stdout.decode())


def _number(text: str) -> int:
    """A number of any length: Python's own conversion refuses more than 4300 digits."""
    from decimal import Decimal

    return int(Decimal(text))
