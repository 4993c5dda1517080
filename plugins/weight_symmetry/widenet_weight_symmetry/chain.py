"""The structure that masks alone tell: layers one after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from torch import Tensor

from widenet_weight_symmetry.structure import FIRST, OUTSIDE, Layer, Space, Structure, bias_of

if TYPE_CHECKING:
    Masks = Mapping[str, np.ndarray | Tensor | None]


def chain(layers: Masks) -> Structure:
    """The structure of layers of which each reads the one before, in the order of the mapping and no other.

    A layer whose inputs are a multiple of the units before it reads a map that was flattened channel by channel, as torch does.
    Of a layer that is None nothing is known, not even its size: it is left out, and what stands before and after it is counted
    as the last and the first layer of a chain are. A mask (units,) called ``<layer>.bias`` is that of the layer's biases.

    Args:
        layers: name -> bool mask (units, inputs, ...), NumPy or torch, or None.

    Raises:
        ValueError: a mask is not bool or not of a weight's shape, or two layers that follow each other do not fit.
    """
    biases = {bias_of(name): name for name in layers}
    found: dict[str, Layer] = {}
    spaces: dict[str, Space] = {}
    opened: list[np.ndarray] = []
    before: Layer | None = None
    size = FIRST
    for name, given in layers.items():
        if name in biases and given is not None and len(given.shape) == 1:
            continue
        layer = None if given is None else _layer(name, given, size, before)
        if before is not None and layer is None:
            opened.append(before.numbers)
        if layer is not None:
            if before is not None:
                columns = np.arange(layer.features).reshape(before.units, layer.features // max(1, before.units))
                spaces[before.name] = attrs.evolve(spaces[before.name], columns={name: columns})
            bias = layers.get(bias_of(name))
            found[name] = attrs.evolve(layer, bias=None if bias is None else _bias(bias_of(name), bias, layer))
            spaces[name] = Space(name, {name: np.arange(layer.units)[:, None]})
            size += layer.units
        before = layer
    if before is not None:
        opened.append(before.numbers)
    return Structure(found, tuple(spaces.values()), np.concatenate([np.zeros(0, np.int64), *opened]), size)


def _layer(name: str, given: np.ndarray | Tensor, first: int, before: Layer | None) -> Layer:
    mask = tensor(name, given)
    if mask.ndim < 2:
        raise ValueError(f"the mask for {name} must be (units, inputs, ...), not {tuple(mask.shape)}")
    units, inputs = mask.shape[:2]
    if before is None:
        reads = np.full(inputs, OUTSIDE)
    elif fits(before.units, inputs):
        reads = np.repeat(before.numbers, inputs // max(1, before.units))
    else:
        assert before.mask is not None
        raise ValueError(
            f"layers do not chain: {name} {tuple(mask.shape)} reads {inputs} inputs, {before.name} "
            f"{tuple(before.mask.shape)} has {before.units} units; give layers in the order of the network"
        )
    return Layer(name, units, inputs, first, reads=(reads,), mask=mask)


def fits(units: int, inputs: int) -> bool:
    """Whether a layer with these inputs can read so many units, each once or each equally often."""
    return inputs == units or (units > 0 and inputs >= units and inputs % units == 0)


def _bias(name: str, given: np.ndarray | Tensor, layer: Layer) -> Tensor:
    mask = tensor(name, given)
    if mask.shape != (layer.units,):
        raise ValueError(f"the mask {name} has shape {tuple(mask.shape)}, its layer has {layer.units} units")
    return mask


def tensor(name: str, given: Any) -> Tensor:
    """A mask as a bool tensor; NumPy's memory is shared where torch can.

    Raises:
        ValueError: it is not bool.
    """
    if isinstance(given, np.ndarray) and given.dtype == bool:
        given = torch.from_numpy(np.require(given, requirements=["C", "W"]))
    if not isinstance(given, Tensor) or given.dtype != torch.bool:
        raise ValueError(f"the mask for {name} must be bool, not {getattr(given, 'dtype', type(given).__name__)}")
    return given


def dense_log10(space: Space) -> float:
    """log10 of the permutations that a space has where nothing is masked."""
    return 0.0 if space.fixed else math.lgamma(space.size + 1) / math.log(10)
