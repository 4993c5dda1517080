"""The procedure: random weights, scores to train, and what the mask is worth beside none and beside chance."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from widenet.masks import Fixed, attach, layers, masks, modules, original
from widenet.train import evaluate, fit
from widenet_supermask.config import Supermask
from widenet_supermask.edge_popup import EdgePopup
from widenet_supermask.initialise import initial_scores, initial_weight

DRAWS = 3
"""Random masks that the accuracy by chance is averaged over."""


def find_mask(run: Any, net: nn.Module, data: Any, config: Supermask) -> dict[str, Any]:
    """Carry out edge-popup; returns the accuracies to compare the mask's with (fractions)."""
    net.requires_grad_(False)
    if not run.record["parents"]:
        randomise(run, net, config)

    def popup(name: str, weight: Tensor) -> EdgePopup:
        scores = initial_scores(weight.shape, run.generator("scores", name))
        return EdgePopup(torch.empty_like(weight).copy_(scores), config.keep)

    attach(net, popup)
    for _ in fit(run, net, data, config):
        pass
    run.save_arrays("scores", {name: module.scores for name, module in scored(net).items()})
    return compare(run, net, data, config)


def randomise(run: Any, net: nn.Module, config: Supermask) -> None:
    """Give every layer that can be masked new random weights, from a stream of its own."""
    keep = config.keep if config.scale_fan else 1.0
    for name, module in layers(net):
        weight = original(module)
        drawn = initial_weight(weight.shape, config.init, run.generator("init", name), fan=config.fan, keep=keep)
        with torch.no_grad():
            weight.copy_(drawn)


def scored(net: nn.Module) -> dict[str, Any]:
    """Module path -> its mask module with scores."""
    return {name: module for name, module in modules(net).items() if isinstance(module, EdgePopup)}


def compare(run: Any, net: nn.Module, data: Any, config: Supermask) -> dict[str, Any]:
    """Test accuracy of the same random weights without a mask, and under random masks that keep as many in each layer."""
    found = masks(net)
    twin = copy.deepcopy(net)

    def accuracy(make: Any) -> float:
        attach(twin, lambda name, weight: Fixed(make(name, weight)))
        recalibrate(twin, data, config)
        return evaluate(twin, data.test, amp=config.amp)["accuracy"]

    def shuffled(draw: int) -> Any:
        def make(name: str, weight: Tensor) -> Tensor:
            order = torch.randperm(weight.numel(), generator=run.generator("random mask", draw, name))
            return found[name].flatten().cpu()[order].reshape(weight.shape).to(weight.device)

        return make

    unmasked = accuracy(lambda _, weight: torch.ones_like(weight, dtype=torch.bool))
    chance = sum(accuracy(shuffled(draw)) for draw in range(DRAWS)) / DRAWS
    weights = f"of {run.record['parents'][0]}, not trained here" if run.record["parents"] else "random, never trained"
    return {"weights": weights, "unmasked_accuracy": unmasked, "random_mask_accuracy": chance}


@torch.no_grad()
def recalibrate(net: nn.Module, data: Any, config: Supermask) -> None:
    """Let batch norm, if there is any, see the training images once: its statistics were learned under another mask."""
    norms = [module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for module in norms:
        module.reset_running_stats()
        module.momentum = None  # the plain mean over batches
    if norms:
        net.train()
        for x, _ in data.train.batches(config.batch_size):
            if len(x) > 1:
                net(x)
