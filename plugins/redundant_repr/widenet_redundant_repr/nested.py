"""Chunks of every size at once: the first c neurons of a permutation, c = 1 ... P, from one factorisation and one pass.

Nested chunks have the same law as chunks drawn afresh for each size; they are only correlated from size to size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from widenet.capture import ReadOut
from widenet.kernels.gram import NOTHING, Gram, correlation_sums
from widenet_redundant_repr.readout import RIDGE
from widenet_redundant_repr.regression import ALPHA, factor

ENTRIES = 1 << 22
"""Logits that are held at a time."""


def ordered(gram: Gram, permutation: Tensor, penalty: float = 0, ridge: float = 0) -> tuple[Tensor, Tensor]:
    """Scatter (P, P) of the neurons in the order of the permutation, and its lower Cholesky factor; float64.

    The factor is that of the scatter with ``penalty`` added to its diagonal, or this grown by the factor 1 + ``ridge``.
    """
    order = permutation.to(gram.mean.device)
    scatter = gram.scatter.index_select(0, order).index_select(1, order)
    grown = scatter.clone()
    grown.diagonal().mul_(1 + ridge)
    return scatter, factor(grown[None], penalty)[0]


def nested_statistics(gram: Gram, permutation: Tensor) -> dict[str, np.ndarray]:
    """``r2, r2_out, correlation, correlation_out`` of the first c neurons, each float64 (P,); NaN where undefined.

    The residual scatter loses one outer product a neuron, so all sizes cost P/3 passes over the matrix.
    """
    left, lower = ordered(gram, permutation)
    width, own = len(left), left.diagonal().clone()
    residual = own[:, None] - lower.square().cumsum(1)  # of each neuron (row), by the last one that explains it
    residual = torch.where(residual > NOTHING * own[:, None], residual, 0.0).tril_(-1)
    unexplained, total = residual.sum(0), own.sum()
    outside = torch.cat([own.flip(0).cumsum(0).flip(0)[1:], own.new_zeros(1)])
    r2_out = torch.where(outside > 0, 1 - unexplained / outside, torch.where(total > 0, 1.0, torch.nan))
    r2_out[-1] = torch.nan
    correlation, correlation_out = np.full(width, np.nan), np.full(width, np.nan)
    for c in range(1, min(width, gram.count - 1)):
        left[c:, c:] -= torch.outer(lower[c:, c - 1], lower[c:, c - 1])
        rest = left[c:, c:]
        others, none = torch.arange(width - c, device=left.device), rest.new_zeros(0, width - c)
        sums, pairs = correlation_sums(rest, others, none, residual[c:, c - 1], gram.count)
        correlation[c - 1] = sums / (width * (width - 1) / 2)
        correlation_out[c - 1] = sums / pairs if pairs else np.nan
    correlation[-1] = 0.0
    r2 = (1 - unexplained / total).cpu().numpy()
    return {"r2": r2, "r2_out": r2_out.cpu().numpy(), "correlation": correlation, "correlation_out": correlation_out}


def nested_held_out(gram: Gram, other: Gram, permutation: Tensor) -> np.ndarray:
    """R2 on the samples of ``other`` of the fits that ``gram`` gives the first c neurons: float64 (P,)."""
    order = permutation.to(gram.mean.device)
    lower = ordered(gram, permutation, penalty=ALPHA)[1]
    shift = (other.mean - gram.mean)[order]
    about = other.scatter.index_select(0, order).index_select(1, order) + other.count * torch.outer(shift, shift)
    half = torch.linalg.solve_triangular(lower, about, upper=False)
    whitened = torch.linalg.solve_triangular(lower, half.mT, upper=False)
    # The residual is the sum over the columns k >= c of the factor, each times its whitened coordinate.
    products = whitened * (lower.mT @ lower)
    remaining = products.flip(0, 1).cumsum(0).cumsum(1).flip(0, 1).diagonal()
    errors = torch.cat([remaining[1:], remaining.new_zeros(1)])
    total = float(other.scatter.trace())
    return (1 - errors / total).cpu().numpy() if total else np.full(len(order), np.nan)


class Nested:
    """A linear read-out of the first c neurons of a permutation, for all c: the logits are a sum that grows.

    With ``gram``, of features and targets, it is refitted for each c by least squares; else it is the trained one's part,
    its weights times P/c where ``rescaled``.
    """

    def __init__(self, permutation: Tensor, head: ReadOut | None, gram: Gram | None = None, rescaled: bool = False) -> None:
        self.order = permutation
        width = len(permutation)
        self.factor = width / torch.arange(1, width + 1) if rescaled else torch.ones(width)
        self.lower: Tensor | None = None
        if gram is None:
            assert head is not None
            self.weight, self.bias = head.weight[:, permutation].T.float(), head.bias.float()
            return
        features = gram.columns(slice(0, width))
        lower = ordered(features, permutation, ridge=RIDGE)[1].cpu()
        cross = gram.scatter[:width, width:].cpu()[permutation]
        self.weight = torch.linalg.solve_triangular(lower, cross, upper=False).float()
        self.bias, self.mean, self.lower = gram.mean[width:].cpu().float(), features.mean.cpu()[permutation], lower

    def scored(self, features: Tensor, labels: Tensor) -> Tensor:
        """Wrong samples and summed loss of all sizes for features (n, P): float64 (P, 2)."""
        x = features[:, self.order]
        if self.lower is not None:
            centred = (x.double() - self.mean).T
            x = torch.linalg.solve_triangular(self.lower, centred, upper=False).T.float()
        logits = (x[:, :, None] * self.weight).cumsum(1) * self.factor[:, None] + self.bias
        if logits.shape[2] == 1:
            margin = logits[:, :, 0].double() * (2 * labels - 1)[:, None]
            return torch.stack([(margin <= 0).double().sum(0), (1 - margin).clamp(min=0).square().sum(0) / 2], 1)
        chosen = logits.gather(2, labels[:, None, None].expand(-1, logits.shape[1], 1))[:, :, 0]
        loss = (logits.logsumexp(2) - chosen).double().sum(0)
        wrong = (logits.argmax(2) != labels[:, None]).double().sum(0)
        return torch.stack([wrong, loss], 1)


def nested_errors(batches: Iterable[tuple[Tensor, Tensor]], readouts: Sequence[Nested]) -> np.ndarray:
    """Error (fraction) and mean loss of every size under each read-out, in one pass: float64 (len(readouts), P, 2)."""
    first = readouts[0]
    rows = max(1, ENTRIES // first.weight.numel())
    totals, count = torch.zeros(len(readouts), len(first.order), 2, dtype=torch.float64), 0
    for features, labels in batches:
        for x, y in zip(features.split(rows), labels.split(rows), strict=True):
            for number, readout in enumerate(readouts):
                totals[number] += readout.scored(x, y)
        count += len(labels)
    return (totals / count).numpy()
