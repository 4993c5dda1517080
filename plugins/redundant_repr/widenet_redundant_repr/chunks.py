"""What a chunk, a few neurons of a wide layer, knows of the layer's other neurons, and how well it classifies alone.

Source: Doimo, Glielmo, Goldt and Laio, NeurIPS 2022: chunk errors, R2 and the correlation of its residuals, all from one
Gram matrix of the layer but the errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from widenet.kernels.gram import Gram, correlation_sums, residual_scatter
from widenet_redundant_repr.regression import ALPHA, complement, factor, neurons, solved

ENTRIES = 1 << 26
"""Float64 numbers (half a GB) that chunks solved together on a GPU may take."""


@attrs.frozen
class ChunkStatistics:
    """How far a chunk explains its layer; ``undefined`` says why one is NaN.

    Attributes:
        r2: share of the whole layer's scatter that a linear fit on the chunk explains, the chunk's own neurons included.
        r2_out: the same share of the neurons outside the chunk; 1 where these are constant.
        correlation: mean absolute correlation of the fit's residuals over all pairs of neurons, the chunk's own being 0.
        correlation_out: the same mean over the pairs outside the chunk.
    """

    r2: float
    r2_out: float
    correlation: float
    correlation_out: float


def r2_and_correlation(gram: Gram, index: Any) -> tuple[float, float]:
    """R2 and the mean absolute residual correlation of a chunk as published; ``index`` holds its c distinct neurons."""
    found = chunk_statistics(gram, index)
    return found.r2, found.correlation


def chunk_statistics(gram: Gram, index: Any) -> ChunkStatistics:
    """All statistics of the chunk of the c distinct neurons ``index`` (tensor, array or list)."""
    return batch_statistics(gram, neurons(gram, index)[None])[0]


def batch_statistics(gram: Gram, indices: Any) -> list[ChunkStatistics]:
    """The statistics of R chunks of one size, each a row of ``indices`` (R, c); on a GPU many are solved at once.

    Raises:
        ValueError: a chunk names a neuron twice.
    """
    chunks = neurons(gram, indices)
    size, width = chunks.shape[1], len(gram.mean)
    together = max(1, ENTRIES // (2 * size * width)) if chunks.is_cuda else 1
    return [found for part in chunks.split(together) for found in _statistics(gram, part)]


def _statistics(gram: Gram, chunks: Tensor) -> Iterator[ChunkStatistics]:
    total = float(gram.scatter.trace())
    outside = complement(gram, chunks)
    if not outside.shape[1]:
        yield from [ChunkStatistics(1.0 if total else math.nan, math.nan, 0.0, math.nan)] * len(chunks)
        return
    width, fits = len(gram.mean), gram.count >= chunks.shape[1] + 2
    for others, y in zip(outside, solved(gram.scatter, chunks, outside)[1], strict=True):
        residual = residual_scatter(gram.scatter, others, y)
        left, whole = float(residual.sum()), float(gram.scatter.diagonal()[others].sum())
        sums, pairs = correlation_sums(gram.scatter, others, y, residual, gram.count) if fits else (math.nan, 1)
        yield ChunkStatistics(
            r2=1 - left / total if total else math.nan,
            r2_out=1 - left / whole if whole else 1.0 if total else math.nan,
            correlation=sums / (width * (width - 1) / 2),
            correlation_out=sums / pairs if pairs else math.nan,
        )


def nested_r2(gram: Gram, permutation: Any) -> np.ndarray:
    """R2 of the chunks of the first c = 1 ... P neurons of a permutation of all P, float64 (P,), from one factorisation.

    Column k of the factor is what neuron k explains of all later ones beyond what those before it do.
    """
    order = neurons(gram, permutation)
    permuted = gram.scatter.index_select(0, order).index_select(1, order)
    own = permuted.diagonal().clone()
    lower = factor(permuted[None])[0]
    padding = torch.linalg.vector_norm(lower, dim=1).square() - own  # what the factorisation added to the diagonal
    explained = torch.linalg.vector_norm(lower, dim=0).square() - padding
    total = own.sum()
    return torch.where(total > 0, (explained.cumsum(0) / total).clamp(0, 1), math.nan).cpu().numpy()


def held_out_r2(gram: Gram, other: Gram, index: Any) -> float:
    """R2 on the samples of another Gram of the same neurons, of the fit with intercept that ``gram`` gives the chunk.

    It may be negative: 1 - the squared errors, the intercept's included, over the scatter about the other's own mean; NaN if
    the layer is constant there.
    """
    chunk = neurons(gram, index)[None]
    outside, total = complement(gram, chunk), float(other.scatter.trace())
    if not outside.shape[1]:
        return 1.0 if total else math.nan
    lower, y = solved(gram.scatter, chunk, outside, ALPHA)
    weights = torch.linalg.solve_triangular(lower.mT, y, upper=True)[0]
    i, j = chunk[0], outside[0]
    inner, cross, left = other.scatter[i[:, None], i], other.scatter[i[:, None], j], other.scatter.diagonal()[j].sum()
    left = left + (weights * (inner @ weights - 2 * cross)).sum()
    shift = other.mean - gram.mean
    left = left + other.count * (shift[j] - shift[i] @ weights).square().sum()
    return 1 - float(left) / total if total else math.nan


def sampling_floor(count: int) -> float:
    """The mean absolute correlation of independent Gaussian neurons over ``count`` samples, sqrt(2 / (pi count))."""
    return math.sqrt(2 / (math.pi * count))


def undefined(gram: Gram, c: int) -> str:
    """Why statistics of chunks of c neurons are NaN, in a few words; empty where none is."""
    width = len(gram.mean)
    if not bool(gram.scatter.diagonal().any()):
        return "every neuron is constant, so there is nothing to explain"
    if c == width:
        return "no neuron is outside the chunk"
    if gram.count < c + 2:
        return f"{gram.count} samples are too few to tell residuals of {c} neurons apart; {c + 2} would do"
    return "one neuron is outside the chunk, so there are no pairs" if c == width - 1 else ""


def chunk_error(features: Any, weight: Any, bias: Any, labels: Any, index: Any) -> tuple[float, float]:
    """Error rate and loss of a chunk with its part of the trained read-out, bias and weights as they are.

    Args:
        features: float (N, P); the logits are computed in its dtype, the loss in float64.
        weight: (C, P). A single row f is a binary read-out: right where f y > 0 for y = -1 or +1.
        bias: (C,).
        labels: int (N,), from 0 up.
        index: the chunk's neurons.

    Returns:
        1 - accuracy, and the mean cross entropy, of a binary read-out half the mean squared hinge max(0, 1 - y f).
    """
    chunk = index.tolist() if isinstance(index, Tensor) else np.array(index)
    x = _tensor(features[:, chunk])
    kind: dict[str, Any] = {"dtype": x.dtype, "device": x.device}
    logits = F.linear(x, _tensor(weight[:, chunk]).to(**kind), _tensor(bias).to(**kind)).double()
    targets = _tensor(labels).to(x.device, torch.int64)
    if logits.shape[1] == 1:
        margins = logits[:, 0] * (2 * targets - 1)
        return float((margins <= 0).double().mean()), float((1 - margins).clamp(min=0).square().mean() / 2)
    wrong = logits.argmax(1) != targets
    return float(wrong.double().mean()), float(F.cross_entropy(logits, targets))


def _tensor(values: Any) -> Tensor:
    return values if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
