"""One perturbation of a network at one level, as it is applied batch by batch; draws depend on seeds and names alone."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from widenet_frivolous.perturb import Replace, knocked_out, noisy, noisy_weight, of_others, overwritten, with_weights
from widenet_frivolous.points import axis


@attrs.frozen(eq=False)
class Condition:
    """A perturbation that leaves everything as it is; the others derive from it."""

    def change(self, net: nn.Module, name: str, value: Tensor, batch: int, intact: Tensor | None) -> Tensor | None:
        """What the value (n, ...) at the point ``name`` becomes; ``intact`` is the same of the intact network."""
        return None

    def within(self, net: nn.Module) -> contextlib.AbstractContextManager[None]:
        """The context in which the network computes."""
        return contextlib.nullcontext()

    @property
    def alone(self) -> bool:
        """Whether the context matters, so that it cannot share a forward pass with others."""
        return False

    @property
    def needs_intact(self) -> bool:
        """Whether the intact value of every point is asked for."""
        return False

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
        """The value with the chosen units overwritten."""
        along = axis(net, value)
        new: Tensor | float = 0.0
        if self.replace == "mean":
            shape = [1] * value.ndim
            shape[along] = -1
            new = self.means[name].to(value).view(shape)
        elif self.replace == "resample":
            new = of_others(value if intact is None else intact, generator(self.seed, "resample", batch))
        return overwritten(value, self.sets[name].to(value.device), new, along)

    @property
    def needs_intact(self) -> bool:
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
    """Weights with noise, or knocked out: of the modules at ``paths``, drawn once for all batches and levels of a seed."""

    level: float
    seed: int
    paths: tuple[str, ...]
    knockout: bool

    def within(self, net: nn.Module) -> contextlib.AbstractContextManager[None]:
        """The network with the changed weights."""
        new: dict[str, Tensor] = {}
        for path in self.paths:
            weight: Any = net.get_submodule(path).weight
            draw, function = (torch.rand, knocked_out) if self.knockout else (torch.randn, noisy_weight)
            drawn = draw(weight.shape, generator=generator(self.seed, "weights", path))
            new[path] = function(weight.detach(), self.level, drawn.to(weight))
        return with_weights(net, new)

    @property
    def alone(self) -> bool:
        """Always: the weights are other ones."""
        return True


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A torch generator seeded from a seed and a purpose."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1)
