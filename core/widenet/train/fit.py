"""The training loop, as a generator: a method's own lines run between its epochs, in plain sight."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widenet.components import Train
from widenet.errors import WnError
from widenet.masks import masks, plain_state, refresh
from widenet.runs import Run
from widenet.train import checkpoint
from widenet.train.evaluate import evaluate
from widenet.train.optimisers import learning_rate, make_optimiser

GLANCE = 0.2
"""Seconds between looks at the running loss: each one waits for a GPU."""


@attrs.frozen
class Epoch:
    """A finished epoch: its number (from 1) and its metrics, ``train/loss``, ``test/accuracy``, ..."""

    number: int
    values: dict[str, float]


def fit(
    run: Run, net: nn.Module, data: Any, config: Train, *, loss: Callable[[Tensor, Tensor], Tensor] | None = None
) -> Iterator[Epoch]:
    """Train the parameters of ``net`` that require gradients; yields after each epoch.

    The state is saved after the caller's lines for the epoch have run. Started on a run that was cut short, it continues after
    the last saved epoch; on the CPU the result is bit-identical to that of an unbroken run, given equal threads. All state
    must live in parameters and buffers. Every epoch draws from its own random streams. A last batch of one image is left out.

    Args:
        run: receives metrics, checkpoints, and weights and masks every ``save_every`` epochs.
        net: any module; weights are moved to ``channels_last``.
        data: a :class:`~widenet.data.Data`.
        config: options; cross-entropy with their ``label_smoothing`` unless ``loss`` is given.
        loss: ``(logits, labels) -> scalar``, the mean over the batch.

    Raises:
        WnError: the loss is no longer finite (the last good state stays on disk), nothing to train, or a checkpoint that
            does not fit.
    """
    loop = run.fits
    run.fits += 1
    data = data.to(run.device)
    net.to(run.device).to(memory_format=torch.channels_last)
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise WnError("nothing to train: no parameter of the network requires gradients")
    optimiser = make_optimiser(net.parameters(), config)
    criterion = loss or (lambda z, y: F.cross_entropy(z, y, label_smoothing=config.label_smoothing))
    done = _resume(run, loop, net, optimiser)
    if 0 < done < config.epochs:
        run.say(f"continuing after epoch {done} of {config.epochs}")
    prefix = f"loop-{loop}-" if loop else ""
    if done == 0 and config.save_every:
        _keep(run, f"{prefix}init", net)
    forward = torch.compile(net) if config.compile else net
    for number in range(done + 1, config.epochs + 1):
        began = time.perf_counter()
        # Every epoch draws (dropout, stochastic masks) from streams of its own.
        run.seed_everything("epoch", loop, number)
        rate = learning_rate(config, number)
        for group in optimiser.param_groups:
            group["lr"] = rate
        values: dict[str, Any] = {"epoch": number, "step": number * -(-len(data.train) // config.batch_size), "lr": rate}
        values |= _train(run, loop, number, net, forward, data.train, config, criterion, optimiser)
        if number % config.eval_every == 0 or number == config.epochs:
            for name in ("val", "test"):
                if (split := getattr(data, name)) is not None:
                    measured = evaluate(net, split, amp=config.amp)
                    values |= {f"{name}/{key}": value for key, value in measured.items()}
        values["seconds"] = round(time.perf_counter() - began, 3)
        run.log(values)
        run.reporter.epoch(number, config.epochs, values)
        yield Epoch(number, values)
        if config.save_every and number % config.save_every == 0:
            _keep(run, f"{prefix}epoch-{number:04d}", net)
        checkpoint.save(run, loop, number, net, optimiser)


def _resume(run: Run, loop: int, net: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Epochs of this loop that are done, their state restored."""
    saved = checkpoint.load(run)
    if saved is None or saved["fit"] < loop:
        return 0
    checkpoint.restore(run, saved, net, optimiser)
    return saved["epoch"]


def _train(
    run: Run,
    loop: int,
    number: int,
    net: nn.Module,
    forward: Callable[[Tensor], Tensor],
    split: Any,
    config: Train,
    criterion: Callable[[Tensor, Tensor], Tensor],
    optimiser: torch.optim.Optimizer,
) -> dict[str, float]:
    """One epoch of optimiser steps; mean loss and accuracy over its images."""
    net.train()
    device = torch.device(run.device)
    count = -(-len(split) // config.batch_size)
    losses = torch.zeros(count, device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    seen, glance = 0, time.perf_counter() + GLANCE
    for step, (x, y) in enumerate(split.batches(config.batch_size, run.generator("order", loop, number))):
        if len(y) == 1 < config.batch_size and count > 1:
            continue  # a last batch of one: batch norm has no statistics of one sample
        if config.compile:
            refresh(net)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.amp):
            logits = forward(x)
            value = criterion(logits, y)
        value.backward()
        optimiser.step()
        optimiser.zero_grad()
        with torch.no_grad():
            losses[step] = value * len(y)
            correct += (logits.argmax(1) == y).sum()
        seen += len(y)
        if time.perf_counter() > glance:
            mean = _mean(losses[: step + 1], seen, number)
            run.reporter.step(number, config.epochs, (step + 1) / count, {"loss": mean, "accuracy": correct.item() / seen})
            glance = time.perf_counter() + GLANCE
    return {"train/loss": _mean(losses, seen, number), "train/accuracy": correct.item() / max(seen, 1)}


def _mean(losses: Tensor, seen: int, epoch: int) -> float:
    """Mean loss so far.

    Raises:
        WnError: a loss is not finite, naming the first step at which.
    """
    values = losses.double()
    total = values.sum().item()
    if not math.isfinite(total):
        step = int((~values.isfinite()).nonzero()[0]) + 1
        raise WnError(
            f"the loss is no longer finite at step {step} of epoch {epoch}; lower --lr or raise --warmup "
            "(checkpoint.pt, if there is one, holds the last good state)"
        )
    return total / max(seen, 1)


def _keep(run: Run, tag: str, net: nn.Module) -> None:
    run.save_weights(tag, plain_state(net))
    if found := masks(net):
        run.save_masks(tag, found)
