"""What is tracked while a network trains: how far it has come from its first weights, and how large its gradients were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Tracker:
    """Statistics of every epoch's end, for :func:`widenet.train.fit`'s ``also``; made before training starts.

    ``cosine_similarity`` and ``distance`` (L2) are between all parameters, unmasked, and their first values; the original's
    ``cosine_distance`` is this similarity. ``cumulative_gradient_norm`` is the sum over all steps so far of the L2 norm of
    the gradient of all parameters.
    """

    def __init__(self, run: Any, net: nn.Module) -> None:
        self.run, self.net = run, net
        self.first = [parameter.detach().clone() for parameter in net.parameters()]
        self.norms: float | None = None
        self.steps = 0

    @torch.no_grad()
    def __call__(self, values: Mapping[str, Any]) -> dict[str, float]:
        """The statistics after an epoch with these metrics."""
        if self.norms is None:  # the first epoch since the run was begun or continued
            earlier = [line for line in self.run.metrics() if "cumulative_gradient_norm" in line]
            self.norms, self.steps = (earlier[-1]["cumulative_gradient_norm"], earlier[-1]["step"]) if earlier else (0.0, 0)
        self.norms += values["train/gradient_norm"] * (values["step"] - self.steps)
        self.steps = values["step"]
        return {**distances(self.first, list(self.net.parameters())), "cumulative_gradient_norm": self.norms}


def distances(then: list[Tensor], now: list[Tensor]) -> dict[str, float]:
    """Cosine similarity and L2 distance of two lists of tensors of equal shapes, each list as one vector; summed in float64.

    The similarity with a vector of zeros is 0.
    """
    pairs = [(a.double(), b.double()) for a, b in zip(then, now, strict=True)]
    dot, first, second, apart = (
        float(sum((a * b).sum() for a, b in chosen))
        for chosen in (pairs, [(a, a) for a, _ in pairs], [(b, b) for _, b in pairs], [(a - b, a - b) for a, b in pairs])
    )
    lengths = first**0.5 * second**0.5
    return {"cosine_similarity": dot / lengths if lengths else 0.0, "distance": apart**0.5}
