"""The compiled loop of ``straight``."""

# mypy: allow-untyped-decorators

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from torch import Tensor

Array = np.ndarray[Any, Any]


def fill(scores: Tensor, weight: Tensor, upstream: Tensor, result: Tensor) -> None:
    """Write ``sign(scores) * weight * upstream``; all float32, dense and lying alike."""
    tensors = [tensor.detach() for tensor in (scores, weight, upstream, result)]
    _fill(*(tensor.as_strided((tensor.numel(),), (1,)).numpy() for tensor in tensors))


@numba.njit(cache=True, nogil=True)
def _fill(scores: Array, weight: Array, upstream: Array, result: Array) -> None:
    for i in range(len(scores)):
        sign = np.float32(scores[i] > 0) - np.float32(scores[i] < 0)  # 0 of NaN, as torch has it
        result[i] = sign * weight[i] * upstream[i]
