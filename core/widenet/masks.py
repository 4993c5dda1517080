"""Masks: a module attached to a weight by ``torch.nn.utils.parametrize``, with an attribute ``mask`` of the weight's shape.

Whatever attaches such a module, anything can read it; :func:`attach`, :func:`masks` and :func:`density` are all that most code
needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim.optimizer import register_optimizer_step_post_hook

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Kinds of layer that are masked."""


_steps = 0


def _count(*_: object) -> None:
    global _steps
    _steps += 1


register_optimizer_step_post_hook(_count)


class Fixed(nn.Module):
    """A mask that stays as it is; the weights under it may train.

    Args:
        mask: bool, shape of the weight.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask.detach().clone().bool())

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with masked entries zero."""
        return weight * self.mask


class Chosen(nn.Module):
    """Base of masks chosen from a tensor that training moves (scores): chosen anew only after that tensor has changed.

    So the choice costs once per optimiser step and nothing in evaluation. A subclass sets ``scores`` and writes :meth:`choose`.

    Args:
        shape: tensor whose shape, strides and device the mask takes.
    """

    mask: Tensor
    scores: Tensor

    def __init__(self, shape: Tensor) -> None:
        super().__init__()
        # The scores decide the mask, so checkpoints need not hold it.
        self.register_buffer("mask", torch.ones_like(shape, dtype=torch.bool), persistent=False)
        self._chosen_for: tuple[int, int, int] | None = None

    def choose(self, weight: Tensor) -> None:
        """Write ``self.mask``, in place."""
        raise TypeError(f"{type(self).__name__} does not say how to choose its mask")

    def stale(self) -> bool:
        """Whether the scores changed since the mask was chosen (never inside a compiled graph: see :func:`refresh`)."""
        return not torch.compiler.is_compiling() and self._chosen_for != self._stamp()

    def chosen(self) -> None:
        """Note that the mask now fits the scores."""
        self._chosen_for = self._stamp()

    def _stamp(self) -> tuple[int, int, int]:
        # An in-place change raises a tensor's version, except when a fused optimiser makes it: so its steps count as well.
        return id(self.scores), self.scores._version, _steps

    @torch.no_grad()
    def refresh(self, weight: Tensor) -> None:
        """Choose the mask anew if the scores have changed."""
        if self.stale():
            self.choose(weight)
            self.chosen()


def layers(net: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Module path and module of every layer that can be masked, in the order the network defines them."""
    for name, module in net.named_modules():
        if isinstance(module, LAYERS):
            yield name, module


def attach(net: nn.Module, make: Callable[[str, Tensor], nn.Module | None]) -> None:
    """Attach ``make(path, weight)`` to each layer's weight; where it returns None the layer stays as it is.

    A mask that a layer already has is replaced; the weight under it is kept.

    Raises:
        ValueError: a mask's shape is not its weight's.
    """
    for name, module in list(layers(net)):
        mask: Any = make(name, original(module).detach())
        if mask is None:
            continue
        mask.to(original(module).device)
        if mask.mask.shape != original(module).shape:
            shapes = f"{tuple(mask.mask.shape)}, its weight {tuple(original(module).shape)}"
            raise ValueError(f"the mask for {name} has shape {shapes}")
        if (position := _position(module)) is None:
            parametrize.register_parametrization(module, "weight", mask)
        else:
            # Not removed and registered anew: removal edits a class that a copy of the network may share.
            steps(module)[position] = mask


def original(module: nn.Module) -> Tensor:
    """The weight of a layer without its mask."""
    weight = steps(module).original if parametrize.is_parametrized(module, "weight") else module.weight
    assert isinstance(weight, Tensor)
    return weight


def steps(module: nn.Module) -> parametrize.ParametrizationList:
    """What stands between a parametrized layer's original weight and the one it uses."""
    found = module.parametrizations["weight"]  # type: ignore[index]
    assert isinstance(found, parametrize.ParametrizationList)
    return found


def modules(net: nn.Module) -> dict[str, nn.Module]:
    """Module path -> the mask module attached to its weight."""
    found = {name: _mask_of(module) for name, module in net.named_modules()}
    return {name: mask for name, mask in found.items() if mask is not None}


def _mask_of(module: nn.Module) -> nn.Module | None:
    position = _position(module)
    return None if position is None else steps(module)[position]


def _position(module: nn.Module) -> int | None:
    """Where among the parametrizations of a layer's weight its mask is."""
    if not parametrize.is_parametrized(module, "weight"):
        return None
    return next((position for position, step in enumerate(steps(module)) if hasattr(step, "mask")), None)


def refresh(net: nn.Module) -> None:
    """Bring every mask up to date with what it is chosen from; compiled networks rely on this before each step."""
    for name, mask in modules(net).items():
        if isinstance(mask, Chosen):
            mask.refresh(original(net.get_submodule(name)).detach())


def masks(net: nn.Module) -> dict[str, Tensor]:
    """Module path -> bool mask of the weight's shape, as the next forward pass will use it; a copy."""
    refresh(net)
    return {name: mask.mask.detach().bool().clone() for name, mask in modules(net).items()}  # type: ignore[operator]


def density(net: nn.Module) -> dict[str, float]:
    """Module path -> fraction of its weights kept."""
    return {name: float(mask.float().mean()) for name, mask in masks(net).items()}


@torch.no_grad()
def plain_state(net: nn.Module) -> dict[str, Tensor]:
    """The state dict the network would have without masks: ``weights * masks`` gives the network back.

    Kept weights are the effective ones (a method may scale or flip them), dropped weights are those underneath.
    """
    state = {name: value for name, value in net.state_dict().items() if ".parametrizations." not in f".{name}"}
    for path, module in net.named_modules():
        for key in getattr(module, "parametrizations", {}):
            value = getattr(module, key)
            mask = _mask_of(module) if key == "weight" else None
            if mask is not None:
                value = torch.where(mask.mask.bool(), value, original(module))  # type: ignore[operator]
            state[f"{path}.{key}" if path else key] = value.detach().clone()
    return state
