"""What chunks of a layer classify: their errors and losses under several read-outs, many chunks in one pass over the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import attrs
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from widenet.kernels.gram import Gram
from widenet_redundant_repr.regression import factor

SAMPLES, CHUNKS, GATHERED = 1024, 64, 640
"""Samples, chunks, and columns copied for small chunks that are worked on at a time: what a processor's cache holds."""
SMALL = 8
"""Chunks of at most 1/SMALL of the layer have their columns copied; for larger ones zeros in the weights are cheaper."""
LOGITS = 1 << 26
"""Numbers (a quarter of a GB) that the logits of a block of chunks may take."""
RIDGE = 1e-8
"""Penalty of refitted read-outs, in units of each neuron's scatter."""


class Readout(Protocol):
    """A linear classifier for any chunk of a layer."""

    def of(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The weights (C, c) and bias (C,) for the chunk with these columns, int64 (c,)."""


@attrs.frozen(eq=False)
class Sliced:
    """The trained read-out, ``weight`` (C, P) and ``bias`` (C,), cut down to the chunk's columns; the bias stays whole.

    The paper does no more. With ``rescaled`` the weights are multiplied by P/c, so that the bias weighs as much as in the whole
    layer; the classes chosen are those of the original weights with the bias times c/P.
    """

    weight: Tensor
    bias: Tensor
    rescaled: bool = False

    def of(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The chunk's weights (C, c) and the bias (C,)."""
        factor = self.weight.shape[1] / len(index) if self.rescaled else 1.0
        return self.weight[:, index] * factor, self.bias


@attrs.frozen(eq=False)
class Refitted:
    """A read-out of its own for each chunk: :func:`refit` on ``gram``, that of training data :func:`with_targets`."""

    gram: Gram
    classes: int

    def of(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The chunk's weights (C, c) and bias (C,), float64."""
        return refit(self.gram, len(self.gram.mean) - self.classes, index)


def with_targets(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Features (n, P) with their targets as C further columns, of the features' dtype: (n, P + C).

    The targets of labels int64 (n,) are one-hot; with a single class, the read-out of a binary task, they are -1 and 1.
    """
    targets = F.one_hot(labels, classes) if classes > 1 else 2 * labels[:, None] - 1
    return torch.cat([features, targets.to(features)], 1)


def refit(gram: Gram, width: int, index: Tensor) -> tuple[Tensor, Tensor]:
    """Least squares from a chunk, int64 (c,), onto the targets: weights (C, c) and bias (C,), float64.

    ``gram`` is that of features and targets side by side, of which the first ``width`` columns are features. The scatter of
    each neuron grows by the factor 1 + RIDGE, too little to show but in directions that the data do not have, so columns may
    repeat or be constant; the bias is not penalised.
    """
    index = index.to(gram.scatter.device)
    within, across = gram.scatter[index[:, None], index], gram.scatter[index, width:]
    within.diagonal().mul_(1 + RIDGE)
    lower = factor(within[None])[0]
    del within  # of a wide layer, half a GB
    half = torch.linalg.solve_triangular(lower, across, upper=False)
    weight = torch.linalg.solve_triangular(lower.mT, half, upper=True).T
    return weight, gram.mean[width:] - weight @ gram.mean[index]


def chunk_errors(
    batches: Iterable[tuple[Any, Any]], chunks: Sequence[Any], readouts: Mapping[str, Readout]
) -> dict[str, np.ndarray]:
    """The error (fraction) and mean loss of every chunk under each read-out, as float64 (len(chunks), 2).

    ``batches`` are features (n, P) and labels (n,), from 0; ``chunks`` hold the indices of a chunk's columns each. Logits are
    float32, the loss is the cross entropy in nats, both summed in float64. A read-out of a single row is that of a binary task:
    right where its output f has the sign y of the label (0 is -1), with loss max(0, 1 - y f)^2 / 2.

    Raises:
        ValueError: there is no sample.
    """
    totals = torch.zeros(len(chunks), len(readouts), 2, dtype=torch.float64)
    blocks: list[_Block] = []
    count = 0
    for features, labels in batches:
        x = torch.as_tensor(features, dtype=torch.float32)
        y = torch.as_tensor(labels, dtype=torch.int64, device=x.device)
        if not blocks:
            totals = totals.to(x.device)
            blocks = list(_blocks(chunks, list(readouts.values()), x.shape[1], x.device))
        for rows, classes in zip(x.split(SAMPLES), y.split(SAMPLES), strict=True):
            columns = rows.T.contiguous()
            for block in blocks:
                totals[block.members] += _scored(block.logits(columns), classes)
        count += len(y)
    if not count:
        raise ValueError("there must be at least one sample")
    return dict(zip(readouts, (totals / count).cpu().numpy().swapaxes(0, 1), strict=True))


@attrs.frozen(eq=False)
class _Block:
    """R chunks of one size: their numbers (R,), weights and bias (R, K, C, 1) under K read-outs.

    The weights are (R, K * C, c) with the columns (R, c) to copy, or (R * K * C, P), 0 outside the chunk, and no columns.
    """

    members: Tensor
    columns: Tensor | None
    weight: Tensor
    bias: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """Of features with samples last (P, n): float32 (R, K, C, n)."""
        values = self.weight @ (features if self.columns is None else features[self.columns])
        return values.view(*self.bias.shape[:3], -1) + self.bias


def _blocks(chunks: Sequence[Any], readouts: Sequence[Readout], width: int, device: torch.device) -> Iterator[_Block]:
    sizes: dict[int, list[int]] = {}
    for number, chunk in enumerate(chunks):
        sizes.setdefault(len(chunk), []).append(number)
    classes = len(readouts[0].of(torch.as_tensor(chunks[0], dtype=torch.int64))[1])
    fitting = max(1, min(CHUNKS, LOGITS // (SAMPLES * len(readouts) * classes)))
    for size, members in sizes.items():
        small = SMALL * size <= width
        most = min(fitting, max(1, GATHERED // size)) if small else fitting
        for start in range(0, len(members), most):
            block = members[start : start + most]
            index = torch.stack([torch.as_tensor(chunks[number], dtype=torch.int64) for number in block])
            pairs = [readout.of(chunk) for chunk in index for readout in readouts]
            weight, bias = (
                torch.stack([part.to(device, torch.float32) for part in parts]) for parts in zip(*pairs, strict=True)
            )
            index, numbers = index.to(device), torch.tensor(block, device=device)
            if small:
                columns, weight = index, weight.view(len(block), -1, size)
            else:
                spread = index.repeat_interleave(len(readouts), 0)[:, None].expand_as(weight)
                columns, weight = None, weight.new_zeros(*weight.shape[:2], width).scatter_(2, spread, weight).flatten(0, 1)
            yield _Block(numbers, columns, weight, bias.view(len(block), len(readouts), -1, 1))


def _scored(logits: Tensor, labels: Tensor) -> Tensor:
    """The number of wrong samples and the sum of losses of logits (R, K, C, n): float64 (R, K, 2)."""
    if logits.shape[2] == 1:
        margin = logits[:, :, 0].double() * (2 * labels - 1)
        wrong, loss = margin <= 0, (1 - margin).clamp(min=0).square() / 2
    else:
        # Of equal logits it takes the first, as argmax does, which is far slower along this axis.
        highest, first = logits.max(2, keepdim=True)
        chosen = labels.expand_as(first)
        wrong = (first != chosen)[:, :, 0]
        below = logits - highest  # exact where it matters, and the terms are summed in float64
        loss = below.exp().sum(2, dtype=torch.float64).log() - below.gather(2, chosen)[:, :, 0]
    return torch.stack([wrong.sum(-1), loss.sum(-1)], -1)
