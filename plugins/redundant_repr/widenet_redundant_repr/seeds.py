"""Several networks of different seeds on the same samples: what they do together, and how they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from widenet.capture import stream
from widenet.errors import UsageError


@attrs.frozen
class BiasVariance:
    """The squared error of predicted probabilities, summed over classes: ``loss = bias2 + variance``, means over samples."""

    loss: float
    bias2: float
    variance: float


def logits_of(net: Any, split: Any) -> Tensor:
    """A network's logits on a split of a data set, float32 (N, C)."""
    return torch.cat([batch.logits for batch in stream(net, split, [])])


def ensemble_error(logits: Sequence[Any], labels: Any) -> float:
    """The error (fraction) of networks with logits (N, C) each that choose the class with the largest SUM of logits.

    The error at infinity of the paper is that of 20 networks. Sums are in float64.
    """
    return _error(_stacked(logits).sum(0), labels)


def bias_variance(logits: Sequence[Any], labels: Any) -> BiasVariance:
    """Bias and variance over K networks of their softmax outputs p_k (N, C) about the one-hot labels y, by squared error.

    With m the mean of p_k and v the mean of |p_k - m|^2, variance = v K/(K-1) and bias2 = |m - y|^2 - v/(K-1), unbiased both,
    and they still add up to the mean of |p_k - y|^2. An unbiased bias2 may be a little below 0.

    Raises:
        UsageError: there are fewer than two networks.
    """
    if len(logits) < 2:
        raise UsageError(f"bias and variance need at least two networks, not {len(logits)}; train more seeds")
    outputs = _stacked(logits).softmax(2)
    mean, count = outputs.mean(0), len(outputs)
    targets = torch.nn.functional.one_hot(torch.as_tensor(labels).to(mean.device), mean.shape[1])
    spread = float((outputs - mean).square().sum(2).mean())
    bias2 = float((mean - targets).square().sum(1).mean()) - spread / (count - 1)
    variance = spread * count / (count - 1)
    return BiasVariance(bias2 + variance, bias2, variance)


def _stacked(logits: Sequence[Any]) -> Tensor:
    return torch.stack([torch.as_tensor(each, dtype=torch.float64) for each in logits])


def _error(logits: Tensor, labels: Any) -> float:
    return float((logits.argmax(1) != torch.as_tensor(labels).to(logits.device)).double().mean())
