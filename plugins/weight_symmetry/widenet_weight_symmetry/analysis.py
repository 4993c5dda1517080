"""The analysis ``symmetry``: how many permutations of its units leave a run's masks as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from widenet.errors import Stopped, UsageError, WnError
from widenet.store import read_arrays
from widenet_weight_symmetry.chain import chain
from widenet_weight_symmetry.config import Symmetry
from widenet_weight_symmetry.exact import automorphisms
from widenet_weight_symmetry.follow import follow
from widenet_weight_symmetry.propagate import propagate_masks
from widenet_weight_symmetry.structure import Space, Structure
from widenet_weight_symmetry.symmetry import SUMS, count_spaces, decimal_text, digits

Row = dict[str, Any]
TOTAL = "total"


def symmetry(run: Any, net: nn.Module, data: Any, config: Symmetry) -> Iterator[Row]:
    """Count the permutations of units that leave the masks of any run as they are, layer by layer and in all.

    Layers whose units must be permuted together have one row, under the first one's name. log10_permutations: units that masks
    do not tell apart; log10_lost: what the network without masks has more; log10_exact: all permutations, also those that move
    units of several layers at once. The output layer's units are classes, and not counted. The last row is the total.

    Raises:
        UsageError: the network cannot be followed, masks do not fit, or igraph is missing for ``exact``.
    """
    structure = _of_file(config.masks) if config.masks else _of_run(run, net)
    if config.masks:
        run.say(f"layers are taken in this order: {', '.join(structure.layers)}")
    dense = count_spaces(structure.masked({}))
    yield from _rows(run, structure, dense, config, {"propagated": False} if config.propagate else {})
    if config.propagate:
        yield from _rows(run, propagate_masks(structure), dense, config, {"propagated": True})


def _of_run(run: Any, net: nn.Module) -> Structure:
    """The structure of the run's network under the run's masks; without any where it has none.

    Raises:
        UsageError: a mask has no layer, or not its layer's shape; or the network cannot be run.
    """
    structure = follow(net, tuple(run.record["shape"]))
    masks = {name: torch.from_numpy(mask) for name, mask in run.masks().items()} if run.has_masks() else {}
    try:
        return structure.masked(masks)
    except ValueError as error:
        raise UsageError(f"the masks of {run.name} do not fit its network: {error}") from error


def _of_file(path: Path) -> Structure:
    """The structure that a file of masks tells.

    Raises:
        UsageError: it is no file of masks, or they do not chain.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}; --masks wants one as a run keeps in its folder masks/")
    try:
        arrays = read_arrays(path)
    except Stopped:
        raise
    except WnError as error:
        raise UsageError(f"{path} is no readable HDF5 file (truncated?); --masks wants a file of masks") from error
    if not arrays:
        raise UsageError(f"{path} holds no masks")
    try:
        return chain(arrays)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


def _rows(run: Any, structure: Structure, dense: Mapping[str, Any], config: Symmetry, first: Row) -> Iterator[Row]:
    counted = count_spaces(structure)
    if dead := [name for name, row in counted["layers"].items() if row["dead"]]:
        run.say(
            f"no unit is alive in {', '.join(dead)}{' after propagation' if first.get('propagated') else ''}: 0 permutations"
        )
    for space in structure.spaces:
        row, whole = counted["layers"][space.name], dense["layers"][space.name]
        yield {"layer": space.name, **first, **_columns(row, whole, config), "note": _note(space, row)}
    row = _columns(counted["total"], dense["total"], config)
    note = "dead" if dead else ""
    if config.exact:
        found = automorphisms(structure, config.limit)
        row["log10_exact"] = found.log10
        fixed = sum(bool(space.fixed) for space in structure.spaces)
        least = [] if found.complete else [f"exact: at least, not done in {config.limit:g} s"]
        least += [f"exact: at least, {fixed} sets of units are fixed"] if fixed else []
        note = "; ".join(filter(None, [note, *least]))
    yield {"layer": TOTAL, **first, **row, "note": note}


def _columns(row: Row, dense: Row, config: Symmetry) -> Row:
    """What the table has of a row; ``log10_exact`` is None but in the total."""
    found = {name: row[name] for name in (*SUMS, "sparsity", "log10_permutations")}
    found["log10_lost"] = dense["log10_permutations"] - row["log10_permutations"]
    if config.exact:
        found["log10_exact"] = None
    if config.integer:
        found |= {"digits": digits(row["permutations"]), "permutations": decimal_text(row["permutations"])}
    return found


def _note(space: Space, row: Row) -> str:
    said = ["dead: no unit is alive"] if row["dead"] else []
    said += [f"fixed: {space.fixed}"] if space.fixed else []
    said += [f"tied: {', '.join(space.tied)}"] if space.tied else []
    return "; ".join(said)
