"""Method ``gate-train``: training with a gate for each class and unit, so that each unit comes to serve few classes.

Source: Liang et al. 2020 (CSG), code. In gated epochs each unit of the last representation is multiplied by the gate of the
sample's own label before the read-out; in evaluation there are no gates.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from widenet.train import fit
from widenet_decompose.config import GateTrain
from widenet_decompose.features import class_readout


class Gates(nn.Module):
    """Gates float (C, F), attached to the read-out's weight so that checkpoints hold them; they leave the weight as it is.

    Being a parametrization, they vanish from the state dict of the architecture.
    """

    def __init__(self, weight: Tensor, value: float) -> None:
        super().__init__()
        self.gates = nn.Parameter(torch.full_like(weight, value))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight."""
        return weight

    @torch.no_grad()
    def normalise(self) -> None:
        """Give each unit a largest gate of 1, and keep all gates within [0, 1]."""
        largest = self.gates.amax(0, keepdim=True).clamp(min=torch.finfo(self.gates.dtype).tiny)
        self.gates.div_(largest).clamp_(0, 1)


def excess(gates: Tensor, budget: float) -> Tensor:
    """The gates' summed magnitude beyond ``budget`` times their number, or 0: a scalar (Liang et al. 2020, code)."""
    return F.relu(gates.abs().sum() - budget * gates.numel())


def is_gated(epoch: int, config: GateTrain) -> bool:
    """Whether an epoch (from 1) trains with gates: after the warm-up, but for the first of each round."""
    done = epoch - 1
    return done >= config.gate_warmup and done % config.period >= config.plain


def carry_out(run: Any, net: Any, data: Any, config: GateTrain) -> dict[str, Any]:
    """Train; the gates are kept as the array ``gates`` (C, F), where analyses look for them.

    Raises:
        UsageError: the network has no read-out.
    """
    head = class_readout(net, data)
    readout: Any = net.get_submodule(head.path)
    gates = Gates(readout.weight.detach(), config.gate_init)
    parametrize.register_parametrization(readout, "weight", gates)
    given: dict[str, Tensor] = {}
    gated = False

    def before(epoch: int) -> None:
        nonlocal gated
        gated = is_gated(epoch, config)

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        if not gated:
            return F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
        passed = F.linear(given["features"] * gates.gates[labels], readout.weight, readout.bias)
        return F.cross_entropy(passed, labels, label_smoothing=config.label_smoothing) + config.penalty * excess(
            gates.gates, config.budget
        )

    def stepped(step: int) -> None:
        if gated and config.normalise:
            gates.normalise()

    handle = readout.register_forward_pre_hook(lambda _, inputs: given.update(features=inputs[0]))
    try:
        for _ in fit(run, net, data, config, loss=loss, before=before, stepped=stepped):
            pass
    finally:
        handle.remove()
    found = gates.gates.detach().cpu()
    run.save_arrays("gates", {"gates": found})
    epochs = sum(is_gated(epoch, config) for epoch in range(1, config.epochs + 1))
    if not epochs:
        run.say(f"no epoch of {config.epochs} trained with gates, they begin after {config.gate_warmup}: all are as they were")
    return {"gated_epochs": epochs, "mean_gate": float(found.mean()), "open_gates": float((found > 0.5).float().mean())}
