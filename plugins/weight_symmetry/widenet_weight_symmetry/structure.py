"""The structure of a network: its layers, what each of them reads, and its units in sets that are permuted together.

Every unit of every layer has a number of its own. What a layer reads is said in these numbers, so that sums, concatenations,
paddings and flattened maps need no cases of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

import attrs
import numpy as np
import torch
from torch import Tensor

NOTHING = 0
"""Number read where only zeros arrive, as from padding."""
OUTSIDE = 1
"""Number read where something arrives that is no unit: an input of the network, or what could not be followed."""
FIRST = 2
"""Number of the first unit."""


@attrs.frozen(eq=False, slots=False)
class Layer:
    """A linear or convolutional layer: ``units`` of them read ``features``.

    ``mask`` is bool (units, features / groups, ...), None where nothing is masked; ``bias`` is the bool (units,) mask of its
    biases. Its units have the numbers from ``first`` on. ``reads`` holds int64 (features,) arrays of numbers; what arrives at a
    feature is the sum over them. The unit of a ``unitwise`` layer (a depthwise convolution) belongs to the one it reads.
    """

    name: str
    units: int
    features: int
    first: int
    groups: int = 1
    unitwise: bool = False
    reads: tuple[np.ndarray, ...] = ()
    mask: Tensor | None = None
    bias: Tensor | None = None

    @cached_property
    def block(self) -> Tensor | None:
        """The mask as bool (units, features, taps), zero between groups; None where it is all ones.

        That of a unitwise layer is (units, 1, taps).
        """
        if self.mask is None and (self.groups == 1 or self.unitwise):
            return None
        mask = torch.ones(self.units, self.features // self.groups, 1).bool() if self.mask is None else self.mask
        mask = mask.reshape(self.units, self.features // self.groups, math.prod(mask.shape[2:]))
        if self.groups == 1 or self.unitwise:
            return mask
        groups, taps = self.groups, mask.shape[2]
        block = mask.new_zeros(groups, self.units // groups, groups, self.features // groups, taps)
        each = torch.arange(groups)
        block[each, :, each] = mask.view(groups, self.units // groups, self.features // groups, taps)
        return block.view(self.units, self.features, taps)

    @property
    def numbers(self) -> np.ndarray:
        """int64 (units,): the numbers of its units."""
        return np.arange(self.first, self.first + self.units)


@attrs.frozen(eq=False)
class Space:
    """Units that are permuted together: member ``i`` is a row (or several) of every producer.

    Args:
        name: its first producer's; ``NAME #2`` and so on where that begins several spaces.
        rows: producer -> int64 (size, k), its units that are member ``i``.
        columns: consumer -> int64 (size, k), the features at which it reads member ``i``. Unitwise layers are left out.
        fixed: why its units cannot be interchanged, as far as is known; empty where they can.
    """

    name: str
    rows: Mapping[str, np.ndarray]
    columns: Mapping[str, np.ndarray] = attrs.field(factory=dict)
    fixed: str = ""

    @property
    def size(self) -> int:
        """Number of members."""
        return len(next(iter(self.rows.values())))

    @property
    def tied(self) -> tuple[str, ...]:
        """Producers after the first."""
        return tuple(self.rows)[1:]


@attrs.frozen(eq=False)
class Structure:
    """Layers in the order in which they are computed, and the spaces of their units.

    ``opened`` are the numbers of units that something other than a layer reads. Units that are in no space are outputs of the
    network.
    """

    layers: Mapping[str, Layer]
    spaces: tuple[Space, ...]
    opened: np.ndarray
    size: int
    """One more than the largest number."""

    def masked(self, masks: Mapping[str, Tensor]) -> Structure:
        """The same structure under these masks alone; a bias's goes by ``<layer>.bias``. Without any it is the dense one.

        Raises:
            ValueError: a mask's layer is not there, or the mask has not the shape of its weight.
        """
        named = set(self.layers) | {bias_of(name) for name in self.layers}
        if unknown := [name for name in masks if name not in named]:
            raise ValueError(f"there are masks for {', '.join(unknown)}, which the network does not have")
        layers = {}
        for name, layer in self.layers.items():
            changed = attrs.evolve(layer, mask=masks.get(name), bias=masks.get(bias_of(name)))
            _check(changed)
            layers[name] = changed
        return attrs.evolve(self, layers=layers)


def bias_of(name: str) -> str:
    """The name that the mask of a layer's bias goes by."""
    return f"{name}.bias".lstrip(".")


def _check(layer: Layer) -> None:
    wanted = (layer.units, layer.features // layer.groups)
    if layer.mask is not None and tuple(layer.mask.shape[:2]) != wanted:
        raise ValueError(f"the mask for {layer.name} has shape {tuple(layer.mask.shape)}, its weight begins {wanted}")
    if layer.bias is not None and layer.bias.numel() != layer.units:
        raise ValueError(f"the mask for {layer.name}'s bias has {layer.bias.numel()} entries for {layer.units} units")


def incoming(structure: Structure, space: Space) -> list[Tensor]:
    """What tells the members of a space apart by what they read: bool (1, size, bits) each, views where that is possible."""
    found = []
    for name, rows in space.rows.items():
        layer = structure.layers[name]
        if layer.block is not None:
            bits = rows_of(layer.block, rows)
            found.append(bits.reshape(1, len(rows), rows.shape[1] * math.prod(bits.shape[1:])))
        if layer.bias is not None:
            found.append(rows_of(layer.bias, rows).reshape(1, len(rows), rows.shape[1]))
    return found


def outgoing(structure: Structure, space: Space) -> list[Tensor]:
    """What tells the members of a space apart by who reads them: bool (reader's units, size, bits) each, like incoming."""
    blocks = {name: structure.layers[name].block for name in space.columns}
    return [columns_of(block, space.columns[name]) for name, block in blocks.items() if block is not None]


def rows_of(block: Tensor, rows: np.ndarray) -> Tensor:
    """Rows (n, k) of a mask (units, ...), in order; a view where they are neighbours."""
    flat = rows.ravel()
    if flat.size and np.array_equal(flat, np.arange(flat[0], flat[0] + flat.size)):
        return block[int(flat[0]) : int(flat[0]) + flat.size]
    return block[torch.from_numpy(flat).to(block.device)]


def columns_of(block: Tensor, columns: np.ndarray) -> Tensor:
    """Features (n, k) of a mask (units, features, taps), as (units, n, k * taps); a view where they are neighbours."""
    flat = columns.ravel()
    if flat.size and np.array_equal(flat, np.arange(flat[0], flat[0] + flat.size)):
        part = block[:, int(flat[0]) : int(flat[0]) + flat.size]
    else:
        part = block[:, torch.from_numpy(flat).to(block.device)]
    return part.reshape(len(block), len(columns), columns.shape[1] * block.shape[2])
