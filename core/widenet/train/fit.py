"""The training loop, as a generator: a method's own lines run between its epochs, in plain sight."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from widenet.components import Train
from widenet.errors import WnError
from widenet.masks import Fixed, masks, modules, plain_state
from widenet.runs import Run
from widenet.train import agreement, checkpoint, parallel
from widenet.train.evaluate import evaluate
from widenet.train.optimisers import learning_rate, make_optimiser
from widenet.train.process import placed
from widenet.train.steps import Steps

Measure = Callable[..., Mapping[str, float]]


@attrs.frozen
class Epoch:
    """A finished epoch: its number (from 1) and its metrics, ``train/loss``, ``test/accuracy``, ..."""

    number: int
    values: dict[str, float]


def fit(
    run: Run,
    net: nn.Module,
    data: Any,
    config: Train,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    before: Callable[[int], None] | None = None,
    stepped: Callable[[int], None] | None = None,
    measure: Measure = evaluate,
    also: Callable[[Mapping[str, Any]], Mapping[str, float]] | None = None,
    gradient_norm: bool = False,
) -> Iterator[Epoch]:
    """Train the parameters of ``net`` that require gradients; yields after each epoch.

    The state is saved after the caller's lines for the epoch have run. Started on a run that was cut short, it continues after
    the last saved epoch; on the CPU the result is bit-identical to that of an unbroken run, given equal threads. All state
    must live in parameters and buffers. Every epoch draws from its own random streams. A last batch of one image is left out.

    Processes that torchrun started share each batch and step alike: all have the same parameters, masks and metrics, those that
    one process would find, but for batch norm, for which see :mod:`widenet.train.agreement`. A method need not know.

    Weights and masks of the epoch that did best on the split ``config.best_by``, if there is one, are kept under the tag
    ``best``, as they were measured. Where masks move, ``mask/flips`` is the fraction of their entries that changed in the
    epoch; what ``before`` changes does not count, nor do masks drawn anew in each pass (with an attribute ``drawn``).

    Args:
        run: receives metrics, checkpoints, and weights and masks every ``save_every`` epochs and at ``save_at``.
        net: any module; weights are moved to ``channels_last``.
        data: a :class:`~widenet.data.Data`.
        config: options; cross-entropy with their ``label_smoothing`` unless ``loss`` is given.
        loss: ``(logits, labels) -> scalar``, the mean over the batch.
        before: called before each epoch with its number (from 1), first on resuming too: for schedules, say which of the
            parameters that required gradients at the start train in this epoch.
        stepped: called after each optimiser step with its number (from 1, over all epochs of the loop).
        measure: ``(net, split, amp=...) -> metrics``, among them ``accuracy``.
        also: ``metrics -> further metrics`` of the epoch, called after each with what is known of it so far.
        gradient_norm: whether to log ``train/gradient_norm``, the L2 norm of the gradient of all parameters before each
            optimiser step, averaged over the epoch's steps.

    Raises:
        WnError: the loss is no longer finite (the last good state stays on disk), nothing to train, or a checkpoint that
            does not fit; or processes that train together have come to differ.
    """
    loop = run.fits
    run.fits += 1
    data = data.to(run.device)
    placed(net, run.device)
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise WnError("nothing to train: no parameter of the network requires gradients")
    optimiser = make_optimiser(net, config)
    saved = _resume(run, loop, net, optimiser)
    agreement.check_alike(net)
    if loop == 0 and parallel.world() > 1 and agreement.norms(net):
        run.say(
            f"batch norm takes its statistics from a batch's parts in {parallel.world()} processes: results differ from one's"
        )
    done = saved.get("epoch", 0)
    best = run.best = saved.get("best", {})
    if 0 < done < config.epochs:
        run.say(f"continuing after epoch {done} of {config.epochs}")
    prefix = f"loop-{loop}-" if loop else ""
    if done == 0 and (config.save_every or config.save_at):
        _keep(run, f"{prefix}init", net)
    steps = Steps(run, loop, net, data.train, config, optimiser, loss, stepped, gradient_norm)
    for number in range(done + 1, config.epochs + 1):
        began = time.perf_counter()
        # Every epoch draws (dropout, stochastic masks) from streams of its own.
        run.seed_everything("epoch", loop, number)
        if before is not None:
            before(number)
        moving = _moving(net)  # after before: a resumed run does not have the last epoch's schedule
        rate = learning_rate(config, number)
        for group in optimiser.param_groups:
            group["lr"] = rate
        values: dict[str, Any] = {"epoch": number, "step": number * steps.count, "lr": rate}
        values |= steps.epoch(number)
        if number % config.eval_every == 0 or number == config.epochs:
            for name in ("val", "test"):
                if (split := getattr(data, name)) is not None:
                    measured = measure(net, split, amp=config.amp)
                    values |= {f"{name}/{key}": value for key, value in measured.items()}
        if moving:
            values["mask/flips"] = _flips(moving, _moving(net))
        if also is not None:
            values |= also(values)
        values["seconds"] = round(time.perf_counter() - began, 3)
        values = parallel.from_leading(values)  # what a method decides by them, it must decide alike
        run.log(values)
        run.reporter.epoch(number, config.epochs, values)
        if (data.val is not None or config.best_by == "test") and _better(values, best, config.best_by):
            best = run.best = {"epoch": number, **{key: value for key, value in values.items() if key.endswith("/accuracy")}}
            _keep(run, f"{prefix}best", net)
        yield Epoch(number, values)
        if (config.save_every and number % config.save_every == 0) or number in config.save_at:
            _keep(run, f"{prefix}epoch-{number:04d}", net)
        agreement.check_alike(net)
        checkpoint.save(run, loop, number, net, optimiser, best)


def _resume(run: Run, loop: int, net: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """What a checkpoint says of this loop, its state restored; empty where there is none."""
    saved = checkpoint.load(run)
    if saved is None or saved["fit"] < loop:
        return {}
    checkpoint.restore(run, saved, net, optimiser)
    agreement.share_random()  # the checkpoint holds those of the leading process's GPU
    return saved


def _moving(net: nn.Module) -> dict[str, Tensor]:
    """The masks that training may change."""
    found = modules(net)
    still = {name for name, mask in found.items() if isinstance(mask, Fixed) or getattr(mask, "drawn", False)}
    return {name: mask for name, mask in masks(net).items() if name not in still} if len(still) < len(found) else {}


def _flips(then: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> float:
    """The fraction of all mask entries that differ."""
    changed = sum(int((mask != now[name]).sum()) for name, mask in then.items())
    return changed / sum(mask.numel() for mask in then.values())


def _better(values: Mapping[str, Any], best: Mapping[str, Any], split: str) -> bool:
    """Whether an epoch did better than the best so far; not where it was not evaluated."""
    key = f"{split}/accuracy"
    return key in values and values[key] > best.get(key, -1)


def _keep(run: Run, tag: str, net: nn.Module) -> None:
    run.save_weights(tag, plain_state(net))
    if found := masks(net):
        run.save_masks(tag, found)
