"""How many permutations of its units leave a masked network as it is: those of units that masks do not tell apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch

from widenet.kernels.classes import classes
from widenet_weight_symmetry.chain import chain
from widenet_weight_symmetry.liveness import Liveness, liveness
from widenet_weight_symmetry.structure import Layer, Space, Structure, incoming, outgoing

if TYPE_CHECKING:
    from widenet_weight_symmetry.chain import Masks

Row = dict[str, Any]
SUMS = ("total_neurons", "unique_neurons", "zeroed_neurons", "dead_outgoing")


def count(layers: Masks) -> dict[str, Any]:
    """Count the permutations of units that leave masks as they are, layer by layer and in all.

    Units of a layer are of one class if they have the same incoming and, in the layer that follows, the same outgoing mask. A
    class of t units permits t! permutations. Units that read nothing or are not read are in no class. All permutations within
    classes leave the masks as they are; there may be more, which move units of several layers at once
    (:func:`widenet_weight_symmetry.exact.automorphisms` counts them all).

    Args:
        layers: name -> bool mask in torch's layout (units, inputs, ...), NumPy or torch, in the order of the network; None
            where nothing is known. See :func:`widenet_weight_symmetry.chain.chain`. The units of the last layer count as well.

    Returns:
        ``{"layers": {name: row}, "total": row}``. A row has ``total_neurons``; ``unique_neurons``, the number of classes;
        ``zeroed_neurons`` without any incoming connection; ``dead_outgoing``, those that have one and that nobody reads;
        ``sparsity``, the fraction of zeros; ``log10_permutations``, by logarithms of factorials; ``permutations``, an exact
        int; and ``dead``. A layer of which no unit is left is dead: all its units count as zeroed and it has 0 permutations, of
        which the logarithm is given as 0.0. The total then has 0 permutations too, while its logarithm is the sum over layers.

    Raises:
        ValueError: the layers do not chain, or one is no mask.
    """
    structure = chain(layers)
    found = count_spaces(structure)
    rows = {name: found["layers"].get(name, _row([], 0, 0)) for name in layers if not _is_bias(name, layers)}
    return {**found, "layers": rows}


def _is_bias(name: str, layers: Masks) -> bool:
    mask = layers[name]
    return mask is not None and len(mask.shape) == 1


def count_spaces(structure: Structure) -> dict[str, Any]:
    """The same for any structure: a row for every space, under its name.

    The units of a space that is fixed are each a class. ``sparsity`` of a space is that of its producers' masks, in the total
    that of all masks.
    """
    live = liveness(structure)
    rows = {space.name: count_space(structure, space, live) for space in structure.spaces}
    total = {key: sum(row[key] for row in rows.values()) for key in SUMS}
    return {
        "layers": rows,
        "total": {
            **total,
            "sparsity": _sparsity(_weights(layer, np.arange(layer.units)) for layer in structure.layers.values()),
            "log10_permutations": math.fsum(row["log10_permutations"] for row in rows.values()),
            "permutations": math.prod(row["permutations"] for row in rows.values()),
            "dead": any(row["dead"] for row in rows.values()),
        },
    }


def count_space(structure: Structure, space: Space, live: Liveness) -> Row:
    """The row of one space."""
    receiving, alive = live.of(structure, space)
    row = _row(class_sizes(structure, space, alive), space.size, int((~receiving).sum()))
    row["dead_outgoing"] = int((receiving & ~alive).sum())
    layers = [(structure.layers[name], rows.ravel()) for name, rows in space.rows.items()]
    row["sparsity"] = _sparsity(_weights(layer, rows) for layer, rows in layers)
    return row


def class_sizes(structure: Structure, space: Space, alive: np.ndarray) -> list[int]:
    """Sizes of the classes of the members that are alive, in the order of their first members."""
    return np.bincount(members(structure, space, alive)).tolist()


def members(structure: Structure, space: Space, alive: np.ndarray) -> np.ndarray:
    """int64: the class of every member that is alive, numbered by first member."""
    if space.fixed:
        return np.arange(int(alive.sum()))
    parts = [*incoming(structure, space), *outgoing(structure, space)]
    place = next((part.device for part in parts if part.is_cuda), torch.device("cpu"))
    parts = [part.to(place) for part in parts]  # those of grouped layers without a mask are made on the CPU
    found = classes(parts).cpu().numpy()[alive] if parts else np.zeros(int(alive.sum()), np.int64)
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _row(sizes: list[int], total: int, zeroed: int) -> Row:
    dead = total > 0 and not sizes
    return {
        "total_neurons": total,
        "unique_neurons": len(sizes),
        "zeroed_neurons": total if dead else zeroed,
        "dead_outgoing": 0,
        "sparsity": 0.0,
        "log10_permutations": math.fsum(math.lgamma(size + 1) for size in sizes) / math.log(10),
        "permutations": 0 if dead else math.prod(math.factorial(size) for size in sizes),
        "dead": dead,
    }


@attrs.frozen
class _Weights:
    kept: int
    size: int


def _weights(layer: Layer, rows: np.ndarray) -> _Weights:
    """Weights of these rows of a layer, and how many are kept; none where nothing is masked."""
    if layer.mask is None or not rows.size:
        return _Weights(0, 0)
    each = layer.mask.reshape(layer.units, -1)
    chosen = each if rows.size == layer.units else each[torch.from_numpy(rows).to(each.device)]
    return _Weights(int(torch.count_nonzero(chosen)), rows.size * each.shape[1])  # a sum of bools takes twenty times longer


def _sparsity(weights: Iterable[_Weights]) -> float:
    every = list(weights)
    size = sum(each.size for each in every)
    return 1 - sum(each.kept for each in every) / size if size else 0.0


def stats(total: Mapping[str, Any]) -> dict[str, Any]:
    """The seven statistics that the original keeps of a mask, from the total of :func:`count`.

    ``permutations`` is an exact int, ``permutation_num_digits`` the number of its decimal digits and ``permutation_log10`` is
    log10(permutations + 1): 0 where a layer is dead, 0.301 where nothing is left but the identity.
    """
    number = total["permutations"]
    return {
        **{key: total[key] for key in ("total_neurons", "unique_neurons", "zeroed_neurons", "permutations", "sparsity")},
        "permutation_num_digits": digits(number),
        "permutation_log10": math.log10(number + 1),
    }


def digits(number: int) -> int:
    """How many decimal digits a number from 0 on has, however large; exact."""
    if number < 10:
        return 1
    guess = int(math.log10(number))  # may be one off near a power of ten
    return guess + (number >= 10**guess) + (number >= 10 ** (guess + 1))


def decimal_text(number: int) -> str:
    """A number in decimal digits, however many: Python's own conversion refuses more than 4300 of them."""
    from decimal import Decimal

    return format(Decimal(number), "f")
