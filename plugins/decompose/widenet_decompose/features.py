"""What is studied of a run: its read-out, what its layers put out, and its gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from widenet.capture import Captured, ReadOut, Wanted, capture, layers_or_readout, readout, size_of
from widenet.errors import UsageError

Split = Literal["train", "test", "val"]
ROWS = 4096
"""Samples of a capture that are read at a time."""
GATES = (("gates", "gates"), ("extra", "csg"))
"""Arrays of a run, and the name in them, that gates are kept under: trained here, or come in with weights from elsewhere."""


def class_readout(net: Any, data: Any) -> ReadOut:
    """The network's read-out, with a row of weights for each class.

    Raises:
        UsageError: it has none, or one row that decides between two classes by its sign.
    """
    try:
        head = readout(net, data.test)
    except UsageError:
        raise UsageError(
            "the network does not end in a linear classifier: no linear layer puts out its logits, so none can be decomposed"
        ) from None
    if len(head.weight) != data.classes:
        raise UsageError(f"{head.path} has one row of weights for {data.classes} classes; each needs a row of its own")
    return head


def studied_layers(net: Any, data: Any, patterns: Sequence[str]) -> tuple[list[str], ReadOut | None]:
    """The layers that ``patterns`` name, or what the read-out is given; and the read-out, None where it has not a row a class.

    Raises:
        UsageError: a pattern matches nothing; there is none and the network has no read-out.
    """
    layers, head = layers_or_readout(net, data.test, patterns)
    return layers, head if head is not None and len(head.weight) == data.classes else None


def units_of(run: Any, net: Any, data: Any, layers: Sequence[str], split: Split) -> dict[str, int]:
    """How many units each layer has, by a forward pass of a few samples.

    Raises:
        UsageError: a layer puts out one number a sample.
    """
    shapes = size_of(run, net, data, Wanted(layers=tuple(layers), split=split))["layers"]
    for layer, shape in shapes.items():
        if len(shape) != 1:
            raise UsageError(f"layer {layer} puts out one number a sample, not units; choose another")
    return {layer: shape[0] for layer, shape in shapes.items()}


def kept(run: Any, net: Any, data: Any, layers: Sequence[str], split: Split) -> Captured:
    """What the layers put out on a split, means over places, captured now or found."""
    return capture(run, net, data, Wanted(layers=tuple(layers), split=split))


def gates_of(run: Any, classes: int, units: int) -> Tensor | None:
    """The gates float32 (C, F) of a run, or of the one that its network is from while its method works; None without any."""
    for holder in (run, run.parent):
        for file, name in GATES if holder is not None else ():
            if (holder.path / "arrays" / f"{file}.h5").is_file() and name in (arrays := holder.arrays(file)):
                gates = torch.from_numpy(arrays[name]).float()
                # The reference code keeps them as (F, C).
                gates = gates.T if gates.shape == (units, classes) != (classes, units) else gates
                return gates if gates.shape == (classes, units) else None
    return None
