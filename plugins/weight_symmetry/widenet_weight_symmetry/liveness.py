"""Which units carry anything, and which are read, as far as the masks tell; biases do not count."""

from __future__ import annotations

import attrs
import numpy as np
import torch
from torch import Tensor

from widenet.kernels.classes import occupied
from widenet_weight_symmetry.structure import FIRST, OUTSIDE, Layer, Space, Structure


@attrs.frozen(eq=False)
class Liveness:
    """What :func:`liveness` finds.

    Args:
        made: bool (structure.size,), by number: the unit reads something.
        arriving: layer -> bool (features,): some unit with ``made``, or something from outside, arrives at the feature.
        used: layer -> bool (features,): a unit of the layer reads the feature.
        opened: bool (structure.size,), by number: something other than a layer reads the unit.
    """

    made: np.ndarray
    arriving: dict[str, np.ndarray]
    used: dict[str, np.ndarray]
    opened: np.ndarray

    def of(self, structure: Structure, space: Space) -> tuple[np.ndarray, np.ndarray]:
        """Members of a space that receive something, and among them those that also are read: bool (size,) both."""
        receiving, alive = np.zeros(space.size, bool), np.zeros(space.size, bool)
        for name, columns in space.columns.items():
            arriving = self.arriving[name][columns]
            receiving |= arriving.any(1)
            alive |= (arriving & self.used[name][columns]).any(1)
        for name, rows in space.rows.items():
            numbers = structure.layers[name].first + rows
            read = (self.made & self.opened)[numbers].any(1)
            receiving |= read
            alive |= read
        return receiving, alive


def liveness(structure: Structure) -> Liveness:
    """Look one layer back and one layer on from every unit, as :func:`widenet_weight_symmetry.symmetry.count` does.

    Only units of unitwise layers, which are one with what they read, and sums look further.
    """
    rows = {name: reading(layer) for name, layer in structure.layers.items()}
    made = made_by(structure, rows)
    return Liveness(
        made,
        {name: arriving(layer, made) for name, layer in structure.layers.items()},
        {name: using(layer) for name, layer in structure.layers.items()},
        opened(structure),
    )


def made_by(structure: Structure, rows: dict[str, np.ndarray]) -> np.ndarray:
    """Bool (structure.size,), by number: whether the unit reads something, given which rows of every mask are not empty."""
    made = np.zeros(structure.size, bool)
    made[OUTSIDE:] = True
    while True:
        before = made.copy()
        for name, layer in structure.layers.items():
            made[layer.numbers] = rows[name] & arriving(layer, made) if layer.unitwise else rows[name]
        if np.array_equal(made, before):  # a second sweep changes something only where a layer is used twice
            return made


def arriving(layer: Layer, made: np.ndarray) -> np.ndarray:
    """Bool (features,): whether anything arrives there."""
    found = np.zeros(layer.features, bool)
    for numbers in layer.reads:
        found |= made[numbers]
    return found


def reading(layer: Layer) -> np.ndarray:
    """Bool (units,): whether the unit reads any feature."""
    if layer.block is None:
        return np.full(layer.units, layer.features > 0)
    return _numpy(occupied(layer.block.flatten(1)[None]))


def using(layer: Layer) -> np.ndarray:
    """Bool (features,): whether any unit reads the feature."""
    if layer.unitwise:
        return reading(layer)
    return np.full(layer.features, layer.units > 0) if layer.block is None else _numpy(occupied(layer.block))


def opened(structure: Structure) -> np.ndarray:
    """Bool (structure.size,), by number: whether something other than a layer reads it."""
    found = np.zeros(structure.size, bool)
    found[structure.opened] = True
    found[:FIRST] = False
    return found


def _numpy(bools: Tensor) -> np.ndarray:
    with torch.no_grad():
        return bools.cpu().numpy()
