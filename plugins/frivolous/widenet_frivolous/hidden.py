"""Which layers are studied where none are named: the activation modules of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from widenet.capture import INPUT, matching
from widenet.errors import UsageError
from widenet.masks import LAYERS

ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Softplus, nn.Hardswish, nn.Hardtanh, nn.Sigmoid, nn.Hardsigmoid, nn.Tanh),
)
LOOK = 2
"""Samples by which it is seen which modules are called, and which puts out the logits."""


def studied_layers(net: nn.Module, split: Any, patterns: Sequence[str] = ()) -> list[str]:
    """Paths of the layers that match the patterns or, without any, of all activation modules, in the network's order.

    Of the latter those are left out that a forward pass does not call, and one whose output is the logits. A network that has
    none, as its activations are functions, is studied by what its linear and convolutional layers but the first are given.

    Raises:
        UsageError: a pattern matches nothing, or the network has none of either.
    """
    if patterns:
        return matching(net, patterns)
    outputs, logits = _called(net, split, (*ACTIVATIONS, *LAYERS))
    activations = [path for path, module in net.named_modules() if path in outputs and isinstance(module, ACTIVATIONS)]
    if hidden := [path for path in activations if not _same(outputs[path], logits)]:
        return hidden
    weighted = [path + INPUT for path in outputs if isinstance(net.get_submodule(path), LAYERS)][1:]
    if not weighted:
        raise UsageError("the network has no activation modules, and no two weighted layers; name layers with --layer")
    return weighted


@torch.inference_mode()
def _called(net: nn.Module, split: Any, kinds: tuple[type[nn.Module], ...]) -> tuple[dict[str, Any], Any]:
    """The outputs of the modules of these kinds by path, in the order of their first calls, and the logits."""
    outputs: dict[str, Any] = {}

    def listen(path: str, module: nn.Module) -> Any:
        return module.register_forward_hook(lambda _, inputs, output: outputs.update({path: output.detach().clone()}))

    handles = [listen(path, module) for path, module in net.named_modules() if path and isinstance(module, kinds)]
    was_training = net.training
    net.eval()
    try:
        logits = net(next(iter(split.batches(LOOK)))[0])
    finally:
        net.train(was_training)
        for handle in handles:
            handle.remove()
    return outputs, logits


def _same(output: Any, logits: Any) -> bool:
    return output.shape == logits.shape and bool(torch.equal(output, logits))
