"""Optimisers and learning rates by option."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from widenet.components import Train
from widenet.train.ftrl import Ftrl

START = 0.1
"""What the sum of squared gradients starts from in Adagrad and FTRL, as in TensorFlow."""


def make_optimiser(net: nn.Module, config: Train) -> torch.optim.Optimizer:
    """The optimiser of ``config`` over all that requires gradients in ``net``, in its fused form where it has one.

    Adagrad, RMSProp (decay 0.9, epsilon 1e-10) and FTRL have TensorFlow's constants.
    """
    options: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.optimizer == "adagrad":
        return torch.optim.Adagrad(_groups(net, config), initial_accumulator_value=START, **options)
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(_groups(net, config), alpha=0.9, eps=1e-10, **options)
    if config.optimizer == "ftrl":
        return Ftrl(_groups(net, config), start=START, **options)
    options["fused"] = True
    if config.optimizer == "sgd":
        made = torch.optim.SGD(_groups(net, config), momentum=config.momentum, nesterov=config.nesterov, **options)
        # The fused step wants momentum of all that it moves or of none: what rests at first has some too, for when it joins.
        for parameter in [p for group in made.param_groups for p in group["params"]] if config.momentum else []:
            made.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return made
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    return kind(_groups(net, config), **options)


def _groups(net: nn.Module, config: Train) -> list[dict[str, Any]]:
    """The trained parameters; without ``norm_decay``, those of batch normalisation apart."""
    norms = {p for module in net.modules() if isinstance(module, _NormBase) for p in module.parameters(recurse=False)}
    apart = set() if config.norm_decay else norms
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    spared = [parameter for parameter in trained if parameter in apart]
    groups: list[dict[str, Any]] = [{"params": [parameter for parameter in trained if parameter not in apart]}]
    return [*groups, {"params": spared, "weight_decay": 0.0}] if spared else groups


def learning_rate(config: Train, epoch: int) -> float:
    """The rate throughout epoch ``epoch`` (from 1): linear warm-up, then the schedule over the epochs that remain.

    Cosine: ``F + (lr - F)/2 (1 + cos(pi (e - W) / (E - W)))`` with ``e = epoch - 1`` and ``F`` the final rate, which the epoch
    after the last would have. Exponential: ``lr * gamma**(e - W)``.
    """
    done = epoch - 1
    if done < config.warmup:
        return config.lr * epoch / config.warmup
    if config.schedule == "cosine":
        turn = math.pi * (done - config.warmup) / (config.epochs - config.warmup)
        return config.final_lr + (config.lr - config.final_lr) / 2 * (1 + math.cos(turn))
    if config.schedule == "step":
        passed = sum(done >= milestone for milestone in config.milestones)
        return config.lr * (([1.0, *config.factors][passed]) if config.factors else config.gamma**passed)
    if config.schedule == "exponential":
        return config.lr * config.gamma ** (done - config.warmup)
    return config.lr
