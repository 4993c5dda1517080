"""Analysis ``essential``: what is left of a class when its units, or all others, are overwritten.

Source: Badola et al. 2023, code (``essential``). There each sample's own label says which units are its class's, so that
overwriting all others tells the label to the network: its accuracy can exceed the clean one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from widenet import figures
from widenet.capture import ReadOut
from widenet_decompose import figure
from widenet_decompose.choice import chosen
from widenet_decompose.config import Essential
from widenet_decompose.features import class_readout, kept

STEADY = ("zero", "mean")
"""Replacements that draw nothing."""


def essential(run: Any, net: Any, data: Any, config: Essential) -> Iterator[dict[str, Any]]:
    """Yield a row a set of units, replacement, and what was overwritten; counts of every draw are kept as an array.

    Raises:
        UsageError: the network has no read-out, or the units asked for cannot be found.
    """
    head = class_readout(net, data)
    choice = chosen(run, net, data, head, config, config.score)
    test = kept(run, net, data, [head.layer], "test")
    replaced = Replaced(test.features(head.layer), test.labels, head, config.scale, run.device)
    clean = float(replaced.clean().sum()) / len(test)
    rows, arrays = [], {}
    for kind in config.replace:
        for (name, size), filters in choice.filters.items():
            steady = kind in STEADY and name != "random"
            counts, others = [], []
            for draw in range(1 if steady else config.draws):
                mask = (choice.random(filters, draw) if name == "random" else filters).mask
                generator = run.generator("essential", kind, size, draw)
                counts.append(replaced.hits(mask, kind, generator))
                others += [replaced.others(mask, kind, generator)] if config.others else []
            arrays[f"{kind}/{name}-{size}"] = torch.stack(counts)
            for number, where in enumerate(("own", "rest")):
                found = np.array([float(count[number].sum()) for count in counts]) / len(test)
                row = {"score": name, "k": size, "replace": kind, "overwritten": where, **_spread(found), "clean": clean}
                if config.others:
                    row["others_accuracy"] = float(torch.stack(others)[:, number].mean())
                rows.append(row)
    run.save_arrays("essential", {**arrays, "samples": replaced.samples})
    figures.save(figure.essential(rows, clean, f"{run.name}, {head.layer}: {head.weight.shape[1]} units"), run, "essential")
    yield from rows


def _spread(values: np.ndarray) -> dict[str, Any]:
    """Mean, sample deviation, and the interval that holds 95 % of the draws."""
    low, high = np.quantile(values, [0.025, 0.975])
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return {
        "accuracy": float(values.mean()),
        "deviation": deviation,
        "low": float(low),
        "high": float(high),
        "draws": len(values),
    }


class Replaced:
    """Features (N, F) with labels (N,), to which a read-out is applied after some of them are overwritten."""

    def __init__(self, features: Tensor, labels: Tensor, head: ReadOut, scale: float = 1.0, device: Any = "cpu") -> None:
        self.x, self.y = features.to(device), labels.to(device)
        self.weight, self.bias = head.weight.to(device), head.bias.to(device)
        self.scale = scale
        self.samples = labels.bincount(minlength=len(head.weight))
        self._mean, self._deviation = self.x.mean(0), self.x.std(0)

    def clean(self) -> Tensor:
        """Samples of each class that are right as they are, int64 (C,)."""
        return self._right(self.x, self.y)

    def hits(self, mask: Tensor, kind: str, generator: torch.Generator) -> Tensor:
        """Samples of each class still right with their own class's units overwritten, and with all others: int64 (2, C)."""
        own = mask.to(self.x.device)[self.y]
        new = self._new(kind, generator)
        return torch.stack(
            [self._right(torch.where(own, new, self.x), self.y), self._right(torch.where(own, self.x, new), self.y)]
        )

    def others(self, mask: Tensor, kind: str, generator: torch.Generator) -> Tensor:
        """Fraction of the samples of other classes still right, a mean over the classes whose units are overwritten: (2,)."""
        new = self._new(kind, generator)
        kept = []
        for number, units in enumerate(mask.to(self.x.device)):
            rows = self.y != number
            x, y, instead = self.x[rows], self.y[rows], new[rows]
            pair = (torch.where(units, instead, x), torch.where(units, x, instead))
            kept.append([int(self._right(each, y).sum()) / max(1, len(y)) for each in pair])
        return torch.tensor(kept).mean(0)

    def _new(self, kind: str, generator: torch.Generator) -> Tensor:
        """What is written in place of the features, (N, F)."""
        if kind == "zero":
            return torch.zeros_like(self.x)
        if kind == "mean":
            return self._mean.expand_as(self.x)
        if kind == "shuffle":
            order = torch.rand(self.x.shape, generator=generator).argsort(0).to(self.x.device)
            return self.x.gather(0, order)
        noise = torch.randn(self.x.shape, generator=generator).to(self.x.device)
        return noise * self.scale if kind == "noise" else self._mean + self._deviation * noise

    def _right(self, x: Tensor, y: Tensor) -> Tensor:
        chosen = torch.addmm(self.bias, x, self.weight.T).argmax(1)
        return y[chosen == y].bincount(minlength=len(self.weight)).cpu()
