"""Right answers at every number of units a class, in compiled loops for a CPU.

Not the highest logit of all classes is looked for, only whether one beats the label's: so a class is done with before the next
begins, and its logits of a block of samples stay in the cache. Samples are sorted by label, so that in every block those whose
label a class beats with an equal logit, being lower, lie behind those where it must be higher.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

ROWS = 128
"""Samples of a block: their features (1 MB at F = 2,048) stay in the cache, and loops over them are long enough."""

Array = np.ndarray[Any, Any]


def right_numba(x: Tensor, labels: Tensor, weight: Tensor, bias: Tensor, ranking: Tensor) -> Tensor:
    """Do what ``right_torch`` does, with as many threads as torch has."""
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32  # numba knows no bfloat16
    order = labels.argsort(stable=True)
    layer = weight.contiguous().numpy(), bias.contiguous().numpy(), ranking.int().contiguous().numpy()

    def block(chosen: Tensor) -> Array:
        columns = x[chosen].to(dtype).T.contiguous().numpy()
        return _right(columns, labels[chosen].numpy(), *layer)

    blocks, none = order.split(ROWS), np.zeros(ranking.shape[1], np.int64)
    if (threads := torch.get_num_threads()) == 1:
        return torch.from_numpy(sum(map(block, blocks), none))
    with ThreadPoolExecutor(threads) as pool:
        return torch.from_numpy(sum(pool.map(block, blocks), none))


@numba.njit(cache=True, nogil=True)
def _right(x: Array, labels: Array, weight: Array, bias: Array, ranking: Array) -> Array:
    """The right answers of samples (F, n) sorted by label, int64 (K,)."""
    classes, ranks = ranking.shape
    target = _targets(x, labels, weight, bias, ranking)
    beaten, logits = np.zeros(target.shape, np.uint8), np.empty(len(labels))
    for c in range(classes):
        logits[:] = bias[c]
        p = np.searchsorted(labels, c, side="right")  # the label's own logit is never higher than itself
        for j in range(ranks):
            unit, w = x[ranking[c, j]], weight[c, j]
            if p > 0:
                _beat_if_higher(logits[:p], w, unit[:p], target[j, :p], beaten[j, :p])
            if p < len(labels):
                _beat_if_equal(logits[p:], w, unit[p:], target[j, p:], beaten[j, p:])
    return (beaten == 0).sum(1)


@numba.njit(cache=True, nogil=True)
def _targets(x: Array, labels: Array, weight: Array, bias: Array, ranking: Array) -> Array:
    """The label's logit of every sample at every k, float64 (K, n)."""
    target = np.empty((ranking.shape[1], len(labels)))
    for n in range(len(labels)):
        label = labels[n]
        logit = bias[label]
        for j in range(len(target)):
            logit += weight[label, j] * x[ranking[label, j], n]
            target[j, n] = logit
    return target


@numba.njit(cache=True, nogil=True)
def _beat_if_higher(logits: Array, weight: float, unit: Array, target: Array, beaten: Array) -> None:
    for n in range(len(logits)):
        logit = logits[n] + weight * unit[n]
        logits[n] = logit
        beaten[n] |= np.uint8(logit > target[n])


@numba.njit(cache=True, nogil=True)
def _beat_if_equal(logits: Array, weight: float, unit: Array, target: Array, beaten: Array) -> None:
    for n in range(len(logits)):
        logit = logits[n] + weight * unit[n]
        logits[n] = logit
        beaten[n] |= np.uint8(logit >= target[n])
