"""What every form of the selection works on: tensors in one dimension, their floats read as integers.

The bits of a non-negative float, read as an integer, order like the float.
"""

from typing import Any

import torch
from torch import Tensor

Part = tuple[Tensor, ...]
"""Scores and the mask to fill, or those with the masked weight to fill and the weight."""

# The bits of infinity; every larger pattern is a NaN.
FORMATS = {
    torch.float16: 0x7C00,
    torch.bfloat16: 0x7F80,
    torch.float32: 0x7F800000,
    torch.float64: 0x7FF0000000000000,
}
INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Hint:
    """Where the last threshold lay: a first guess at the next one, from scores that have changed a little since.

    A right guess saves a pass over the scores, a wrong one costs one; neither changes the result.
    """

    def __init__(self) -> None:
        self.centre: int | None = None
        """The key of the last threshold, ``width`` keys around which the next one is looked for."""
        self.width = 1 << 12
        self.bound: frozenset[int] = frozenset()
        """Tensors of a group for which their floor decided, each with a hint of its own."""
        self._alone: dict[int, Hint] = {}
        self.arrays: dict[int, Any] = {}
        """The tensors as arrays, for as long as they are the same ones."""

    def alone(self, index: int) -> "Hint":
        """The hint for one tensor of a group, for when its floor alone decides."""
        return self._alone.setdefault(index, Hint())

    def __reduce__(self) -> tuple[type["Hint"], tuple[()]]:
        return Hint, ()  # a copy of a network has tensors of its own


class Line:
    """A part in one dimension, in the memory order of its scores; what lies otherwise is lent as a copy."""

    def __init__(self, scores: Tensor, mask: Tensor, *masked: Tensor) -> None:
        self.scores = scores if _dense(scores) else scores.contiguous()
        self.bits = flat(self.scores)
        self._given = (mask, *masked)
        self._near = [_alike(tensor, self.scores) for tensor in self._given]
        self.mask, *self.masked = (flat(tensor) for tensor in self._near)

    @property
    def lent(self) -> bool:
        """Whether anything had to be copied."""
        return any(near is not given for near, given in zip(self._near, self._given, strict=True))

    def hand_back(self) -> None:
        """Copy what was filled to where it was asked for."""
        for tensor, copy in zip(self._given[:2], self._near[:2], strict=True):  # the third, the weight, is only read
            if copy is not tensor:
                tensor.copy_(copy)


def _dense(scores: Tensor) -> bool:
    return scores.is_contiguous() or torch.empty_like(scores, device="meta").stride() == scores.stride()


def _alike(tensor: Tensor, scores: Tensor) -> Tensor:
    """The tensor, or a copy of it that lies as the scores do."""
    if tensor.stride() == scores.stride():
        return tensor
    return torch.empty_like(scores, dtype=tensor.dtype).copy_(tensor)


def flat(tensor: Tensor) -> Tensor:
    """View a dense tensor in one dimension, in the order of its memory; floats as integers."""
    line = tensor.as_strided((tensor.numel(),), (1,))
    return line.view(INTEGERS[tensor.itemsize]) if tensor.is_floating_point() else line


def flat_index(places: Tensor, tensor: Tensor) -> Tensor:
    """The index in C order of elements of a dense tensor given by their places in memory."""
    index, stride_c = torch.zeros_like(places), 1
    for size, stride in zip(reversed(tensor.shape), reversed(tensor.stride()), strict=True):
        if size > 1:
            index += places // stride % size * stride_c
        stride_c *= size
    return index
