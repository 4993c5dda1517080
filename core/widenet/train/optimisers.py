"""Optimisers and learning rates by option."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from widenet.components import Train


def make_optimiser(parameters: Iterable[nn.Parameter], config: Train) -> torch.optim.Optimizer:
    """The optimiser of ``config``, in its fused form."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            trained,
            config.lr,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
            fused=True,
        )
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    return kind(trained, config.lr, weight_decay=config.weight_decay, fused=True)


def learning_rate(config: Train, epoch: int) -> float:
    """The rate throughout epoch ``epoch`` (from 1): linear warm-up, then the schedule over the epochs that remain.

    Cosine: ``lr/2 (1 + cos(pi (e - W) / (E - W)))`` with ``e = epoch - 1``, so the last epoch's rate is small but not zero.
    """
    done = epoch - 1
    if done < config.warmup:
        return config.lr * epoch / config.warmup
    if config.schedule == "cosine":
        return config.lr / 2 * (1 + math.cos(math.pi * (done - config.warmup) / (config.epochs - config.warmup)))
    if config.schedule == "step":
        return config.lr * config.gamma ** sum(done >= milestone for milestone in config.milestones)
    return config.lr
