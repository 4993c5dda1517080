"""Remove what dead units send on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import attrs
import numpy as np
import torch
from torch import Tensor

from widenet_weight_symmetry.chain import chain
from widenet_weight_symmetry.liveness import arriving, made_by, opened, reading, using
from widenet_weight_symmetry.structure import Layer, Structure

Masks = TypeVar("Masks", bound=Mapping[str, Any])


def propagate(layers: Masks, backward: bool = False) -> Masks:
    """Remove the outgoing connections of units that have no incoming ones, layer after layer.

    A unit that this leaves without incoming connections sends nothing on either. Applying it again changes nothing. Kept
    connections between other units stay as they are, every tap of a convolution by itself.

    A unit without incoming connections is not silent: it gives the constant that its bias and norm make of zero, which the
    layers behind it can learn to use. So propagation changes what a network can learn, and that of a trained network changes
    what it computes, unless these constants are 0.

    Args:
        layers: name -> bool mask, as for :func:`widenet_weight_symmetry.symmetry.count`. What a layer that is None does to the
            one that follows is not known: that one is taken for a first layer.
        backward: also remove the incoming connections of units that no unit reads, until nothing changes.

    Returns:
        A dict of new masks, each of the kind (NumPy or torch) that was given.

    Raises:
        ValueError: the layers do not chain, or one is no mask.
    """
    found = propagate_structure(chain(layers), backward).layers
    return {name: _like(mask, found[name].mask) if name in found else mask for name, mask in layers.items()}  # type: ignore[return-value]


def _like(given: Any, mask: Tensor | None) -> Any:
    assert mask is not None
    mask = mask.clone().reshape(given.shape)
    return mask.numpy() if isinstance(given, np.ndarray) else mask


def propagate_structure(structure: Structure, backward: bool = False) -> Structure:
    """The same for any structure: what arrives at a feature is dead if all units that are summed there are.

    A layer without a mask gets one where it reads dead units; it has a single tap then.
    """
    layers = dict(structure.layers)
    while True:
        before = dict(layers)
        _forward(structure, layers)
        if backward:
            _backward(structure, layers)
        if all(layers[name] is before[name] for name in layers):
            return attrs.evolve(structure, layers=layers)


def propagate_masks(structure: Structure) -> Structure:
    """The structure with its masks propagated; layers without a mask, as that of the outputs in most methods, stay without."""
    found = propagate_structure(structure).layers
    kept = {name: layer if layer.mask is None else found[name] for name, layer in structure.layers.items()}
    return attrs.evolve(structure, layers=kept)


def _forward(structure: Structure, layers: dict[str, Layer]) -> None:
    """Clear what dead units send on, in the order in which the layers are computed."""
    rows = {name: reading(layer) for name, layer in layers.items()}
    made = made_by(attrs.evolve(structure, layers=layers), rows)
    for name, layer in layers.items():
        dead = ~arriving(layer, made)
        if (dead & using(layer)).any():
            layers[name] = without_features(layer, dead)
            made[layer.numbers] = reading(layers[name])


def _backward(structure: Structure, layers: dict[str, Layer]) -> None:
    """Clear what units read that no one reads, from the last layer to the first."""
    read = opened(structure)
    for name, layer in reversed(layers.items()):
        unread = ~read[layer.numbers]
        if (unread & reading(layer)).any():
            layers[name] = layer = without_units(layer, unread)
        for numbers in layer.reads:
            read[numbers[using(layer)]] = True


def without_features(layer: Layer, dead: np.ndarray) -> Layer:
    """The layer with these features read by none of its units; one without a mask gets one, of a single tap."""
    mask = _mask(layer)
    by_group = mask.reshape(layer.groups, layer.units // layer.groups, layer.features // layer.groups, -1)
    gone = torch.from_numpy(dead).to(mask.device).reshape(layer.groups, 1, -1, 1)
    return attrs.evolve(layer, mask=by_group.masked_fill(gone, False).reshape(mask.shape))


def without_units(layer: Layer, unread: np.ndarray) -> Layer:
    """The layer with these units reading nothing; one without a mask gets one, of a single tap."""
    mask = _mask(layer)
    gone = torch.from_numpy(unread).to(mask.device).reshape(-1, *[1] * (mask.ndim - 1))
    return attrs.evolve(layer, mask=mask.masked_fill(gone, False))


def _mask(layer: Layer) -> Tensor:
    return torch.ones(layer.units, layer.features // layer.groups, 1).bool() if layer.mask is None else layer.mask
