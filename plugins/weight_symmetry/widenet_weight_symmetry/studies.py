"""Networks trained from scratch under masks that are drawn once: the shuffled-mask, random-mask and fixed-param experiments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from widenet.errors import UsageError
from widenet.masks import Fixed, attach, modules
from widenet.train import fit
from widenet_weight_symmetry.config import FixedParam, Masked, RandomMask, ShuffledMask, Typed
from widenet_weight_symmetry.counting import Counter
from widenet_weight_symmetry.initialise import sparse_init_
from widenet_weight_symmetry.layers import maskable
from widenet_weight_symmetry.masks import generate
from widenet_weight_symmetry.tracking import Tracker


def shuffled(run: Any, net: nn.Module, data: Any, config: ShuffledMask) -> dict[str, Any]:
    """Masks of a type and sparsity that are given."""
    return study(run, net, data, config, draw(run, net, config, config.sparsity))


def random(run: Any, net: nn.Module, data: Any, config: RandomMask) -> dict[str, Any]:
    """Masks of a sparsity that is drawn."""
    least, most = config.min_sparsity, config.max_sparsity
    generator = source(run, config).generator("sparsity")
    sparsity = least + (most - least) * float(torch.rand((), generator=generator, dtype=torch.float64))
    return {"drawn_sparsity": sparsity, **study(run, net, data, config, draw(run, net, config, sparsity))}


def fixed_param(run: Any, net: nn.Module, data: Any, config: FixedParam) -> dict[str, Any]:
    """Random masks, not propagated, of a network whose number of parameters is given."""
    if run.record["arch"]["options"].get("params") is None:
        raise UsageError(
            "fixed-param wants a network that spends a number of parameters: --arch mnist-fc:params=100000,depth=3"
        )
    widths = {f"feature_{place}": len(weight) for place, weight in enumerate(maskable(net).values())}
    sizes = {"depth": len(widths), "max_width": max(widths.values()), "min_width": min(widths.values()), **widths}
    return {**study(run, net, data, config, draw(run, net, config, config.sparsity)), **sizes}


def draw(run: Any, net: nn.Module, config: Masked, sparsity: float) -> dict[str, Tensor]:
    """Layer -> mask, each layer's from a stream of its own."""
    kind, more = "random", dict[str, Any]()
    if isinstance(config, Typed):
        kind, more = config.mask_type, {"group": config.group, "fan_in": config.fan_in}
    drawn_from = source(run, config)
    return {
        name: generate(kind, weight.shape, sparsity, drawn_from.generator("mask", name), **more)
        for name, weight in maskable(net, config.masked_layers).items()
    }


def source(run: Any, config: Masked) -> Any:
    """Where masks come from: the run, or one of the seed that is given for them."""
    return run if config.mask_seed is None else type(run)(run.path, {"seed": config.mask_seed})


def study(run: Any, net: nn.Module, data: Any, config: Masked, masks: Mapping[str, Tensor]) -> dict[str, Any]:
    """Put the masks on, count the symmetry they leave, and train; returns the counts."""
    counter = Counter(net, data.shape)
    counted = counter.logged("mask", masks)
    if isinstance(config, Typed) and config.propagate:
        masks = counter.propagated(masks)
        counted |= counter.logged("propagated_mask", masks)
    for name in counter.dead(masks):
        run.say(f"no unit of {name} is alive, so nothing of the input passes it: lower --sparsity or widen the layer")
    given = modules(net)  # masks that came with the network: those of other layers let everything pass
    whole = {name: Fixed(torch.ones_like(module.mask)) for name, module in given.items() if name not in masks}
    attach(net, lambda name, _: Fixed(masks[name]) if name in masks else whole.get(name), biases=True)
    if run.record["parents"] and config.init != "none":
        run.say(f"weights of masked layers are drawn anew; --init none keeps those of {run.record['parents'][0]}")
    if config.init != "none":
        for name, weight in maskable(net, config.masked_layers).items():
            sparse_init_(weight, masks[name], config.init, run.generator("init", name))
    run.log({"epoch": 0, "step": 0, **counted})
    for _ in fit(run, net, data, config, also=Tracker(run, net), gradient_norm=True):
        pass
    return counter.result(masks)
