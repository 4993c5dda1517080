"""How well read-outs do that see only some of their units: all of them on one pass over the features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import torch
from torch import Tensor


@attrs.frozen(eq=False)
class Measured:
    """Samples of each class, and of these those that a read-out gets right: int64 (C,); ``agree`` with the full one, of all."""

    samples: Tensor
    right: Tensor
    agree: int

    @property
    def accuracy(self) -> float:
        """Fraction of all samples that is right."""
        return int(self.right.sum()) / int(self.samples.sum())

    @property
    def agreement(self) -> float:
        """Fraction of all samples to which the full read-out gives the same class."""
        return self.agree / int(self.samples.sum())


def measure(
    batches: Iterable[tuple[Tensor, Tensor]], weight: Tensor, bias: Tensor, masks: Mapping[Any, Tensor], device: Any = "cpu"
) -> dict[Any, Measured]:
    """Hold a read-out cut down by each of several masks against the labels; the full one is there under ``None``.

    Args:
        batches: features float (n, F) and labels int64 (n,).
        weight: float (C, F).
        bias: float (C,).
        masks: bool (C, F) each, by any name: the units that each class's logit sees.
        device: where the products are computed.
    """
    classes, names = len(weight), [None, *masks]
    weight, bias = weight.to(device), bias.to(device)
    samples = torch.zeros(classes, dtype=torch.int64)
    right = {name: torch.zeros(classes, dtype=torch.int64) for name in names}
    agree = dict.fromkeys(names, 0)
    for features, labels in batches:
        x, y = features.to(device), labels.to(device)
        samples += labels.cpu().bincount(minlength=classes)
        full = torch.addmm(bias, x, weight.T).argmax(1)
        for name in names:
            # One after the other: of a thousand classes all logits, or all weights, at once would be gigabytes.
            chosen = full if name is None else torch.addmm(bias, x, (weight * masks[name].to(device)).T).argmax(1)
            right[name] += y[chosen == y].cpu().bincount(minlength=classes)
            agree[name] += int((chosen == full).sum())
    return {name: Measured(samples, right[name], agree[name]) for name in names}
