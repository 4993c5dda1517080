"""FTRL, whose weights follow from sums over all gradients so far rather than from the weights before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT


class Ftrl(torch.optim.Optimizer):
    """FTRL-Proximal of McMahan et al. 2013, algorithm 1, without its L1 and L2 terms; ``beta`` is 0 as in TensorFlow.

    With n the sum of squared gradients g, from ``start``, and z from 0, a step does
    ``z += g - w (sqrt(n + g^2) - sqrt(n)) / lr``, then ``n += g^2`` and ``w = -lr z / sqrt(n)``. The first weights are soon
    forgotten: z does not hold them.

    Args:
        params: tensors, or groups of them.
        lr: learning rate.
        start: what n starts from.
        weight_decay: L2 penalty, added to the gradients.
    """

    def __init__(self, params: ParamsT, lr: float = 1e-3, start: float = 0.1, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "start": start, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient; there is no closure."""
        for group in self.param_groups:
            for parameter in _moved(group["params"]):
                state = self.state[parameter]
                if not state:
                    state["n"] = torch.full_like(parameter, group["start"])
                    state["z"] = torch.zeros_like(parameter)
                gradient = parameter.grad.add(parameter, alpha=group["weight_decay"])
                _step(parameter, gradient, state["n"], state["z"], group["lr"])


def _moved(parameters: Iterable[Any]) -> list[Any]:
    return [parameter for parameter in parameters if parameter.grad is not None]


def _step(weight: Tensor, gradient: Tensor, n: Tensor, z: Tensor, lr: float) -> None:
    root = n.sqrt()
    n.addcmul_(gradient, gradient)
    after = n.sqrt()
    z.add_(gradient).addcmul_(weight, root - after, value=1 / lr)
    weight.copy_(z.div(after).mul_(-lr))
