"""The study's regularisers, for any network and data they mean something for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widenet.data import Data, Images
from widenet.errors import UsageError
from widenet_frivolous.cifar import Prepared
from widenet_frivolous.options import Frivolous

DROPPED = 0.5
"""Fraction of units that dropout drops."""
Loss = Callable[[Tensor, Tensor], Tensor]


def augmented(data: Data) -> Data:
    """Return the data with its training images changed at random when shuffled, as the data set itself would.

    Images in memory are cropped out of a black border of an eighth of their side, and colour images mirrored.

    Raises:
        UsageError: its inputs are no images, or lie on disk.
    """
    split: Any = data.train
    if isinstance(split, Prepared):
        split = attrs.evolve(split, augment=True)
    elif isinstance(split, Images) and split.x.ndim == 4:
        split = attrs.evolve(split, pad=max(1, min(split.x.shape[2:]) // 8), flip=split.x.shape[1] == 3)
    else:
        raise UsageError(f"{data.name} has no images in memory to augment; leave regulariser augment (and all) out")
    return attrs.evolve(data, train=split)


def add_dropout(net: nn.Module) -> None:
    """Drop half of what every dropout layer of ``net`` is given in training.

    Raises:
        UsageError: it has none.
    """
    found = [module for module in net.modules() if isinstance(module, nn.Dropout)]
    if not found:
        raise UsageError("the network has no dropout layer; leave regulariser dropout (and all) out, or choose alexnet-cifar")
    for module in found:
        module.p = DROPPED


def decayed_loss(net: nn.Module, config: Frivolous) -> Loss:
    """Cross-entropy plus ``fc_decay / 2`` times the squares of the weights of hidden fully connected layers.

    Neither convolutions nor the read-out, the last linear layer, are penalised (original code).

    Raises:
        UsageError: there is no such layer.
    """
    hidden = [module for module in net.modules() if isinstance(module, nn.Linear)][:-1]
    if not hidden:
        raise UsageError(
            "the network has no hidden fully connected layer for regulariser weight-decay; --weight-decay takes all parameters"
        )

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        squares = torch.stack([layer.weight.square().sum() for layer in hidden]).sum()
        return F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing) + config.fc_decay / 2 * squares

    return loss


def regularised(net: nn.Module, data: Data, config: Frivolous) -> tuple[Data, Loss | None]:
    """Prepare network and data for the ``regulariser``; the data to train on, and the loss where it is not plain.

    Raises:
        UsageError: it means nothing for them.
    """
    chosen = config.regulariser
    if chosen in ("augment", "all"):
        data = augmented(data)
    if chosen in ("dropout", "all"):
        add_dropout(net)
    return data, decayed_loss(net, config) if chosen in ("weight-decay", "all") else None
