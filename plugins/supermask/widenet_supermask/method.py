"""The procedure: random weights, a mask over them, training, and what the mask is worth beside none and beside chance."""

from __future__ import annotations

from typing import Any

import attrs
import torch
from torch import Tensor, nn

from widenet.errors import UsageError
from widenet.kernels.select import kept_of, topk_mask
from widenet.masks import Fixed, attach, layers, modules, original
from widenet.train import evaluate, fit
from widenet_supermask.compare import compare, norms, sizes_alike
from widenet_supermask.config import LR_SCORES, LR_WEIGHTS, SCORED, Supermask
from widenet_supermask.initialise import drawn_weight, fans, initial_scores
from widenet_supermask.layout import GIVEN, Place, budgets, dense_layers, layout
from widenet_supermask.ranked import Scored
from widenet_supermask.schedule import Schedule
from widenet_supermask.variants.biprop import Biprop
from widenet_supermask.variants.dnw import Dnw
from widenet_supermask.variants.edge_popup import EdgePopup
from widenet_supermask.variants.fixed import random_mask
from widenet_supermask.variants.iterand import Iterand
from widenet_supermask.variants.sample import Sample, over_samples, stochastic
from widenet_supermask.variants.signed import Signed

BY_SCORE: dict[str, type[Scored]] = {"edge-popup": EdgePopup, "signed": Signed, "biprop": Biprop, "iterand": Iterand}
"""Variants that rank weights by scores."""


def find_mask(run: Any, net: nn.Module, data: Any, config: Supermask) -> dict[str, Any]:
    """Carry out a variant; returns the accuracies to compare the mask's with (fractions)."""
    if config.lr is None:
        config = attrs.evolve(config, lr=LR_SCORES if config.variant in SCORED else LR_WEIGHTS)
    found = check(run, net, config)
    drawn = config.new_weights or not run.record["parents"]
    if drawn:
        randomise(run, net, found, config)
    if config.variant == "magnitude" and sizes_alike(net, found):
        also = "" if drawn else " --new-weights"
        raise UsageError(f"variant magnitude means nothing for weights all of one size: add --init kaiming_normal{also}")
    mask(run, net, found, config)
    choose_trained(net, config)
    schedule = Schedule(run, net, found, config)
    measure = over_samples(config.eval_samples) if config.eval_samples else evaluate
    for _ in fit(run, net, data, config, before=schedule.before, stepped=schedule.stepped, measure=measure):
        pass
    if config.variant in SCORED:
        run.save_arrays("scores", scores(net))
    result: dict[str, Any] = settle(run, net, data, config) if config.variant == "sample" else {}
    result["weights"] = f"{'random' if drawn else 'of ' + run.record['parents'][0]}, {fate(net, config, drawn)}"
    trained = config.train_weights or config.variant not in SCORED
    return result if trained else {**result, **compare(run, net, data, config)}


def check(run: Any, net: nn.Module, config: Supermask) -> dict[str, Place]:
    """Name -> place of all that is to be masked.

    Raises:
        UsageError: the request needs a run to start from, or the network has nothing that fits it.
    """
    if config.variant == "fixed" and not modules(net):
        raise UsageError("variant fixed needs the masks of a run: add --from RUN, or choose variant random or magnitude")
    if config.new_weights and not run.record["parents"]:
        raise UsageError("--new-weights replaces the weights of a run: add --from RUN, or leave it out to draw weights anyway")
    found = layout(net, config)
    if config.variant in GIVEN and modules(net) and (config.keep_for or config.keep != attrs.fields(Supermask).keep.default):
        run.say(f"each layer keeps as much as in {run.record['parents'][0]}: the fraction to keep plays no part")
    return found


def fate(net: nn.Module, config: Supermask, drawn: bool) -> str:
    """What became of the weights, in words."""
    if config.train_weights or config.variant not in SCORED:
        return "then trained"
    partly = any(parameter.requires_grad for name, parameter in net.named_parameters() if not name.endswith("scores"))
    return ("never trained" if drawn else "not trained here") + (" where masked" if partly else "")


def randomise(run: Any, net: nn.Module, found: dict[str, Place], config: Supermask) -> None:
    """Give every layer that can be masked new random weights, from a stream of its own."""
    # A mask found with this seed must not meet the very weights it was found for.
    again = ("again",) if run.record["parents"] else ()
    # The paper's code has one rate for all layers, and scales by it those that it leaves dense too.
    whole = config.keep if config.compat == "original" else 1.0
    for name, module in layers(net):
        weight = original(module)
        keep = found[name].keep if name in found else whole
        with torch.no_grad():
            weight.copy_(drawn_weight(weight.shape, keep, config, run.generator("init", name, *again)))


def mask(run: Any, net: nn.Module, found: dict[str, Place], config: Supermask) -> None:
    """Attach the variant's masks."""
    shares = budgets(found, config)
    given = {name: module for name, module in modules(net).items() if name in found}

    def make(name: str, weight: Tensor) -> nn.Module | None:
        place = found.get(name)
        if place is None or config.variant in ("dense", "fixed"):
            return None
        if config.variant == "magnitude":
            return Fixed(topk_mask(weight, place.keep))
        if config.variant == "random":
            kept = int(given[name].mask.sum()) if name in given else kept_of(weight.numel(), place.keep)
            return Fixed(random_mask(weight.shape, kept, run.generator("random mask", name)))
        if config.variant == "dnw":
            return shares[name].join(Dnw(weight, shares[name]), place.module, place.parameter)
        fan_in, _ = fans(original(place.module).shape)
        drawn = initial_scores(weight, fan_in, config, run.generator("scores", name))
        first = torch.empty_like(weight).copy_(drawn)
        if config.variant == "sample":
            return Sample(first)
        return shares[name].join(BY_SCORE[config.variant](first, shares[name]), place.module, place.parameter)

    unmask(net, {name for name in modules(net) if name not in found or config.variant == "dense"})
    attach(net, make, biases=True)


def unmask(net: nn.Module, names: set[str]) -> None:
    """Let masks that came with the weights keep everything."""
    whole = {name: Fixed(torch.ones_like(module.mask)) for name, module in modules(net).items() if name in names}
    attach(net, lambda name, _: whole.get(name), biases=True)


def choose_trained(net: nn.Module, config: Supermask) -> None:
    """Let gradients reach what the variant trains, in any of its epochs."""
    net.requires_grad_(config.train_weights or config.variant not in SCORED)
    for score in scores(net).values():
        score.requires_grad_(True)
    for module in [*norms(net)] if config.train_norm else []:
        module.requires_grad_(True)
    for module in dense_layers(net, config) if config.compat == "none" else []:
        module.requires_grad_(True)


def scores(net: nn.Module) -> dict[str, Tensor]:
    """Name -> scores that are trained, of the masks that have some."""
    return {name: module.scores for name, module in modules(net).items() if isinstance(module, Scored | Sample)}


def settle(run: Any, net: nn.Module, data: Any, config: Supermask) -> dict[str, float]:
    """Draw the one mask of a stochastic supermask that the run keeps; its test accuracy."""
    drawn = {name: Fixed(module.draw(run.generator("final mask", name))) for name, module in stochastic(net).items()}
    attach(net, lambda name, _: drawn.get(name), biases=True)
    return {"drawn_mask_accuracy": evaluate(net, data.test, amp=config.amp)["accuracy"]}
