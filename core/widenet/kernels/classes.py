"""Group the equal units of bool masks: exact, without transposed copies, and nothing sorted but one hash a unit.

The hash of a unit is the sum, modulo 2^64, of a random word for each position at which its bit is set; every position has its
own word, so two different units collide with a probability of 2^-64. Equal hashes are checked bit by bit all the same.

The plain PyTorch form is in ``_classes_torch``, compiled loops for a CPU in ``_classes_numba``, the form for a GPU with Triton
in ``_classes_triton``; the functions here check their arguments and choose.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from widenet.kernels._classes_torch import classes_torch
from widenet.kernels.compiled import compiled

SMALL = 1 << 14
"""Bits up to which it does not pay to load the compiled loops."""

__all__ = ["classes", "occupied"]


def classes(parts: Sequence[Tensor]) -> Tensor:
    """Number the classes of equal units: two units are in one class if, and only if, their bits agree in every part.

    The bits of unit ``u`` are ``part[:, u, :]`` of every part. So the incoming mask of a layer is the part
    ``mask.reshape(1, out, -1)``, and the mask of the layer that follows is ``mask.reshape(out, units, -1)``; both are views.

    Args:
        parts: at least one bool tensor (a, n, b), all of the same n and on one device; a and b may differ and be 0. Those that
            are not contiguous are copied.

    Returns:
        int64 (n,) on the device of the parts: the class of each unit. Classes count 0, 1, ... in the order of their first
        members.

    Raises:
        TypeError: a part is not a bool tensor.
        ValueError: there are no parts, one is not three-dimensional, or the units or devices of two differ.
    """
    _check(parts)
    first = parts[0]
    parts = [part.contiguous() for part in parts if part.numel()]
    if not parts:
        return torch.zeros(first.shape[1], dtype=torch.int64, device=first.device)
    groups = None
    if first.is_cuda and (triton := compiled("_classes_triton")) is not None:
        groups = triton.classes_triton(parts)
    elif first.is_cpu and sum(part.numel() for part in parts) > SMALL and (numba := compiled("_classes_numba")) is not None:
        groups = numba.classes_numba(parts)
    return classes_torch(parts) if groups is None else groups  # None also where hashes collided


def occupied(part: Tensor) -> Tensor:
    """Which units have any bit set; no unit has where there are no bits.

    Args:
        part: bool (a, n, b); the bits of unit ``u`` are ``part[:, u, :]``.

    Returns:
        bool (n,), on the device of ``part``.

    Raises:
        TypeError: ``part`` is not a bool tensor.
        ValueError: it is not three-dimensional.
    """
    _check([part])
    if part.is_cpu and part.numel() > SMALL and (numba := compiled("_classes_numba")) is not None:
        return numba.occupied_numba(part.contiguous())
    return part.any(dim=(0, 2))


def _check(parts: Sequence[Tensor]) -> None:
    if not parts:
        raise ValueError("there must be at least one part")
    for i, part in enumerate(parts):
        if part.dtype != torch.bool:
            raise TypeError(f"parts[{i}] must be a bool tensor, not {part.dtype}")
        if part.ndim != 3:
            raise ValueError(f"parts[{i}] must be (a, units, b), not of shape {tuple(part.shape)}")
        if part.shape[1] != parts[0].shape[1]:
            raise ValueError(f"parts[{i}] must have {parts[0].shape[1]} units like parts[0], not {part.shape[1]}")
        if part.device != parts[0].device:
            raise ValueError(f"parts[{i}] must be on {parts[0].device} like parts[0], not on {part.device}")
