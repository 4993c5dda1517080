"""What a mask is worth: the same random weights without one, and under masks that were not learned."""

from __future__ import annotations

import copy
from collections.abc import Container, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from widenet.kernels.select import topk_mask
from widenet.masks import Fixed, attach, layers, masks, original
from widenet.train import evaluate
from widenet_supermask.config import Supermask
from widenet_supermask.variants.fixed import random_mask

DRAWS = 3
"""Random masks that the accuracy by chance is averaged over."""
SEEN = 50_000
"""Training images, at most, that batch norm sees anew under each of these masks."""


def compare(run: Any, net: nn.Module, data: Any, config: Supermask) -> dict[str, float]:
    """Test accuracies of the weights unmasked, and under random masks and the mask of the largest weights.

    Those masks keep as many weights of each layer as the learned one. That of the largest weights is left out where all weights
    of a layer are equally large.
    """
    found = masks(net)
    twin = copy.deepcopy(net)

    def accuracy(make: Any) -> float:
        attach(twin, lambda name, weight: Fixed(make(name, weight)) if name in found else None, biases=True)
        recalibrate(twin, data.train.batches(config.batch_size, run.generator("batch norm")))
        return evaluate(twin, data.test, amp=config.amp)["accuracy"]

    def shuffled(draw: int) -> Any:
        def make(name: str, weight: Tensor) -> Tensor:
            return random_mask(weight.shape, int(found[name].sum()), run.generator("random mask", draw, name))

        return make

    def largest(name: str, weight: Tensor) -> Tensor:
        return topk_mask(weight, float(found[name].float().mean()))

    result = {"unmasked_accuracy": accuracy(lambda _, weight: torch.ones_like(weight, dtype=torch.bool))}
    result["random_mask_accuracy"] = sum(accuracy(shuffled(draw)) for draw in range(DRAWS)) / DRAWS
    if not sizes_alike(twin, found):
        result["magnitude_mask_accuracy"] = accuracy(largest)
    return result


def sizes_alike(net: nn.Module, names: Container[str]) -> bool:
    """Whether each of these layers has weights of one size, which put none of them before another."""
    sizes = (original(module).abs() for name, module in layers(net) if name in names)
    return all(bool(size.min() == size.max()) for size in sizes)


def norms(net: nn.Module) -> Iterator[nn.Module]:
    """Every batch normalisation of the network."""
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            yield module


@torch.no_grad()
def recalibrate(net: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Let batch norm, if there is any, see training images: its statistics were learned under another mask.

    They must be shuffled: batches of one class each vary too little.
    """
    found: list[Any] = list(norms(net))
    for module in found:
        module.reset_running_stats()
        module.momentum = None  # the plain mean over batches
    if found:
        net.train()
        seen = 0
        for x, _ in batches:
            if seen >= SEEN:
                break
            if len(x) > 1:
                net(x)
            seen += len(x)
