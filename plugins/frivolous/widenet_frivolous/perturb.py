"""What is done to a network at one level, batch by batch: units overwritten, noise added, weights changed.

Source: Casper et al. 2021, code: types 2 and 4 (ablation) and 3 (activation noise). Types 0 and 1, noise and knockout of
weights, are dormant and swapped there; here they are as described. Draws depend on seeds and names alone.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import attrs
import torch
from torch import Tensor, nn

from widenet.masks import original
from widenet_frivolous.points import axis

Replace = Literal["zero", "mean", "resample"]


class Condition:
    """A perturbation that leaves everything as it is; the others derive from it."""

    alone = False
    """Whether the context matters, so that it cannot share a forward pass with others."""
    needs_intact = False
    """Whether the intact value of every point is asked for."""

    def change(self, net: nn.Module, name: str, value: Tensor, batch: int, intact: Tensor | None) -> Tensor | None:
        """What the value (n, ...) at the point ``name`` becomes; ``intact`` is the same of the intact network."""
        return None

    def within(self, net: nn.Module) -> contextlib.AbstractContextManager[None]:
        """The context in which the network computes."""
        return contextlib.nullcontext()

    def constant(self, name: str) -> bool:
        """Whether the value at a point becomes the same for all samples."""
        return False


@attrs.frozen(eq=False)
class Drop(Condition):
    """Units overwritten: by point the ``sets``, bool (units,), and for ``mean`` the ``means``, float (units,)."""

    sets: Mapping[str, Tensor]
    replace: Replace = "zero"
    means: Mapping[str, Tensor] = attrs.field(factory=dict)
    seed: int = 0

    def change(self, net: nn.Module, name: str, value: Tensor, batch: int, intact: Tensor | None) -> Tensor | None:
        """The value with the chosen units zero, at their means, or as of another sample."""
        shape = [1] * value.ndim
        shape[axis(net, value)] = -1
        new: Tensor | float = 0.0
        if self.replace == "mean":
            new = self.means[name].to(value).view(shape)
        elif self.replace == "resample":
            new = of_others(value if intact is None else intact, generator(self.seed, "resample", batch))
        return torch.where(self.sets[name].to(value.device).view(shape), new, value)

    @property
    def needs_intact(self) -> bool:  # type: ignore[override]
        """Whether other samples' values are taken."""
        return self.replace == "resample"

    def constant(self, name: str) -> bool:
        """Whether every unit is overwritten by a number."""
        return self.replace != "resample" and bool(self.sets[name].all())


@attrs.frozen(eq=False)
class Noise(Condition):
    """Noise added to the values; of one seed and batch it is the same at every level but for its size."""

    level: float
    seed: int
    drawn: dict[str, tuple[Any, Tensor]] = attrs.field(factory=dict)
    """The last noise by point, which the levels of a seed may share."""

    def change(self, net: nn.Module, name: str, value: Tensor, batch: int, intact: Tensor | None) -> Tensor | None:
        """The value with noise added."""
        key = (self.seed, batch, value.shape)
        if name not in self.drawn or self.drawn[name][0] != key:
            drawn = torch.randn(value.shape, generator=generator(self.seed, "noise", name, batch)).to(value)
            self.drawn[name] = (key, drawn)
        return noisy(value, self.level, self.drawn[name][1])


@attrs.frozen(eq=False)
class Weights(Condition):
    """Weights with noise, or knocked out: of the modules at ``paths``, drawn once for all batches and levels of a seed.

    A mask stays on what is put in.
    """

    level: float
    seed: int
    paths: tuple[str, ...]
    knockout: bool
    alone = True

    def within(self, net: nn.Module) -> contextlib.AbstractContextManager[None]:
        """The network with the changed weights."""
        new = []
        for path in self.paths:
            module: Any = net.get_submodule(path)
            draw, function = (torch.rand, knocked_out) if self.knockout else (torch.randn, noisy_weight)
            drawn = draw(module.weight.shape, generator=generator(self.seed, "weights", path))
            new.append((original(module), function(module.weight.detach(), self.level, drawn.to(module.weight))))
        return holding(new)


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A torch generator seeded from a seed and a purpose."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1)


@contextlib.contextmanager
def holding(values: Iterable[tuple[Tensor, Tensor | float]]) -> Iterator[None]:
    """Let tensors hold other values for a while; their own are put back, after a failure as well."""
    before: list[tuple[Tensor, Tensor]] = []
    try:
        with torch.no_grad():
            for tensor, new in values:
                before.append((tensor, tensor.detach().clone()))
                tensor.copy_(torch.as_tensor(new))
        yield
    finally:
        with torch.no_grad():
            for tensor, own in before:
                tensor.copy_(own)


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
