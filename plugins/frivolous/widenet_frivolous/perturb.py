"""What is done to a layer: units overwritten, noise added; and as contexts in which a network computes so.

Source: Casper et al. 2021, code: types 2 and 4 (ablation) and 3 (activation noise). Types 0 and 1, noise and knockout of
weights, are dormant and swapped there; here they are as described.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from widenet.masks import original
from widenet_frivolous.points import Point, axis, changed

Replace = Literal["zero", "mean", "resample"]


def overwritten(value: Tensor, chosen: Tensor, new: Tensor | float, along: int = 1) -> Tensor:
    """``value`` (n, ...) with the units ``chosen``, bool (units,) along an axis, taken from ``new``, which broadcasts to it."""
    shape = [1] * value.ndim
    shape[along] = -1
    return torch.where(chosen.view(shape), new, value)


def of_others(value: Tensor, generator: torch.Generator) -> Tensor:
    """The values (n, ...) of another sample of the batch for each: moved on by a random number of places, one for all.

    Raises:
        ValueError: a single sample.
    """
    if len(value) < 2:
        raise ValueError("a single sample has no others to take values from; take two or more")
    return value.roll(int(torch.randint(1, len(value), (), generator=generator)), 0)


def noise_scale(value: Tensor) -> Tensor:
    """Population standard deviation of each sample over all its units and places, of shape (n, 1, ...)."""
    return value.flatten(1).std(1, unbiased=False).view(-1, *[1] * (value.ndim - 1))


def noisy(value: Tensor, level: float, drawn: Tensor) -> Tensor:
    """``value`` (n, ...) and ``level`` times each sample's own deviation of noise; ``drawn`` is standard normal, of its shape.

    (The original's parameter is called a part of the variance, but multiplies the deviation.)
    """
    return value + level * noise_scale(value) * drawn


def noisy_weight(weight: Tensor, level: float, drawn: Tensor) -> Tensor:
    """A weight and ``level`` times the population deviation of all its entries of noise; ``drawn`` is standard normal."""
    return weight + level * weight.std(unbiased=False) * drawn


def knocked_out(weight: Tensor, level: float, drawn: Tensor) -> Tensor:
    """A weight of which this part is zero, chosen by ``drawn``, uniform from 0 to 1; the rest is not scaled up."""
    return weight * (drawn >= level)


@contextlib.contextmanager
def ablated(
    net: nn.Module,
    sets: Mapping[str, Tensor],
    replace: Replace = "zero",
    means: Mapping[str, Tensor] | None = None,
    seed: int = 0,
) -> Iterator[None]:
    """The network with units overwritten, of any modules by path (with ``:input``: of what they are given).

    Args:
        net: any network.
        sets: by path, the units that are overwritten, bool (units,).
        replace: by zero, by ``means`` (by path, float (units,)), or by the values of another sample of the batch.
        means: the units' means, for ``mean``.
        seed: where resampling draws from.

    Raises:
        ValueError: ``mean`` without means.
    """
    if replace == "mean" and (means is None or sets.keys() - means.keys()):
        raise ValueError("to replace units by their means takes the means of each layer")
    generator = torch.Generator().manual_seed(seed)

    def change(name: str, value: Tensor) -> Tensor:
        along = axis(net, value)
        new: Tensor | float = 0.0
        if replace == "mean" and means is not None:
            shape = [1] * value.ndim
            shape[along] = -1
            new = means[name].to(value).view(shape)
        elif replace == "resample":
            new = of_others(value, generator)
        return overwritten(value, sets[name].to(value.device), new, along)

    with changed(net, [(Point(name), lambda value, name=name: change(name, value)) for name in sets]):  # type: ignore[misc]
        yield


@contextlib.contextmanager
def with_noise(net: nn.Module, levels: Mapping[str, float], seed: int = 0) -> Iterator[None]:
    """The network with noise added to the outputs of modules, by path, at a level each: other noise in every pass."""
    generator = torch.Generator().manual_seed(seed)

    def change(name: str, value: Tensor) -> Tensor:
        return noisy(value, levels[name], torch.randn(value.shape, generator=generator).to(value))

    with changed(net, [(Point(name), lambda value, name=name: change(name, value)) for name in levels]):  # type: ignore[misc]
        yield


@contextlib.contextmanager
def with_weights(net: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """The network with other weights in some modules, by path; what they were is put back. A mask stays on what is put in."""
    before: dict[str, Tensor] = {}
    try:
        with torch.no_grad():
            for path, new in weights.items():
                weight = original(net.get_submodule(path))
                before[path] = weight.detach().clone()
                weight.copy_(new)
        yield
    finally:
        with torch.no_grad():
            for path, old in before.items():
                original(net.get_submodule(path)).copy_(old)
