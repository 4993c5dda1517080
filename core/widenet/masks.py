"""Masks: a module attached to a weight by ``torch.nn.utils.parametrize``, with an attribute ``mask`` of the weight's shape.

Whatever attaches such a module, anything can read it; :func:`attach`, :func:`masks` and :func:`density` are all that most code
needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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


def version(tensor: Tensor) -> tuple[object, ...]:
    """What differs once a tensor may have changed, for results that are kept for as long as it has not.

    A change made through ``tensor.data`` goes unnoticed, as it does for autograd.
    """
    # An in-place change raises a tensor's version, except when a fused optimiser makes it: so its steps count as well.
    return tensor.data_ptr(), tensor._version, _steps


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
        return weight * factor(self.mask, weight)


def factor(mask: Tensor, weight: Tensor) -> Tensor:
    """The mask as zeros and ones of the weight's dtype: to multiply by a bool tensor takes several times longer on a CPU."""
    if torch.compiler.is_compiling():  # the compiler's own loops are fast, and older ones cannot view a bool tensor
        return mask.to(weight.dtype)
    return mask.view(torch.uint8).to(weight.dtype)


class Chosen(nn.Module):
    """Base of masks chosen from a tensor that training moves (scores): chosen anew only after that tensor has changed.

    So the choice costs once per optimiser step and nothing in evaluation; what counts as a change says :func:`version`. A
    subclass writes :meth:`choose`, and sets ``scores`` or says in :meth:`ranked` what else it chooses by.

    Args:
        shape: tensor whose shape, strides and device the mask takes.
    """

    mask: Tensor
    scores: Tensor

    def __init__(self, shape: Tensor) -> None:
        super().__init__()
        # The scores decide the mask, so checkpoints need not hold it.
        self.register_buffer("mask", torch.ones_like(shape, dtype=torch.bool), persistent=False)
        self._chosen_for: tuple[object, ...] | None = None

    def ranked(self, weight: Tensor) -> Tensor:
        """The tensor that the mask is chosen by; ``weight`` is the one under the mask."""
        return self.scores

    def choose(self, weight: Tensor) -> None:
        """Write ``self.mask``, in place."""
        raise TypeError(f"{type(self).__name__} does not say how to choose its mask")

    def stale(self, weight: Tensor) -> bool:
        """Whether what the mask was chosen by has changed since (never inside a compiled graph: see :func:`refresh`)."""
        return not torch.compiler.is_compiling() and self._chosen_for != self.stamp(weight)

    def chosen(self, weight: Tensor) -> None:
        """Note that the mask now fits."""
        self._chosen_for = self.stamp(weight)

    def stamp(self, weight: Tensor) -> tuple[object, ...]:
        """What differs once the mask must be chosen anew."""
        return version(self.ranked(weight))

    @torch.no_grad()
    def refresh(self, weight: Tensor) -> None:
        """Choose the mask anew if it must be."""
        if self.stale(weight):
            self.choose(weight)
            self.chosen(weight)


def layers(net: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Module path and module of every layer that can be masked, in the order the network defines them."""
    for name, module in net.named_modules():
        if isinstance(module, LAYERS):
            yield name, module


def places(net: nn.Module, biases: bool = False) -> Iterator[tuple[str, nn.Module, str]]:
    """Name, module and parameter of all that can be masked: a weight goes by its module's path, a bias by ``<path>.bias``."""
    for path, module in layers(net):
        yield path, module, "weight"
        if biases and (module._parameters.get("bias") is not None or parametrize.is_parametrized(module, "bias")):
            yield f"{path}.bias".lstrip("."), module, "bias"


def attach(net: nn.Module, make: Callable[[str, Tensor], nn.Module | None], biases: bool = False) -> None:
    """Attach ``make(path, weight)`` to each layer's weight; where it returns None the layer stays as it is.

    A mask that a layer already has is replaced; the weight under it is kept. With ``biases`` those are offered as well, as
    ``make("<path>.bias", bias)``.

    Raises:
        ValueError: a mask's shape is not its weight's.
    """
    for name, module, parameter in list(places(net, biases)):
        mask: Any = make(name, original(module, parameter).detach())
        if mask is None:
            continue
        weight = original(module, parameter)
        mask.to(weight.device)
        if mask.mask.shape != weight.shape:
            raise ValueError(f"the mask for {name} has shape {tuple(mask.mask.shape)}, its weight {tuple(weight.shape)}")
        if (position := _position(module, parameter)) is None:
            parametrize.register_parametrization(module, parameter, mask)
        else:
            # Not removed and registered anew: removal edits a class that a copy of the network may share.
            steps(module, parameter)[position] = mask


def original(module: nn.Module, parameter: str = "weight") -> Tensor:
    """The weight (or bias) of a layer without its mask."""
    masked = parametrize.is_parametrized(module, parameter)
    weight = steps(module, parameter).original if masked else getattr(module, parameter)
    assert isinstance(weight, Tensor)
    return weight


def steps(module: nn.Module, parameter: str = "weight") -> parametrize.ParametrizationList:
    """What stands between a parametrized layer's original weight and the one it uses."""
    found = module.parametrizations[parameter]  # type: ignore[index]
    assert isinstance(found, parametrize.ParametrizationList)
    return found


def masked(net: nn.Module) -> Iterator[tuple[str, Any, Tensor]]:
    """Name, mask module and the tensor under it, of every mask in the network."""
    for name, module, parameter in places(net, biases=True):
        if (position := _position(module, parameter)) is not None:
            yield name, steps(module, parameter)[position], original(module, parameter)


def modules(net: nn.Module) -> dict[str, Any]:
    """Module path (of a bias ``<path>.bias``) -> the mask module attached there."""
    return {name: mask for name, mask, _ in masked(net)}


def _position(module: nn.Module, parameter: str) -> int | None:
    """Where among the parametrizations of a layer's weight its mask is."""
    if not parametrize.is_parametrized(module, parameter):
        return None
    return next((position for position, step in enumerate(steps(module, parameter)) if hasattr(step, "mask")), None)


def refresh(net: nn.Module) -> None:
    """Bring every mask up to date with what it is chosen from; compiled networks rely on this before each step."""
    for _, mask, weight in masked(net):
        if isinstance(mask, Chosen):
            mask.refresh(weight.detach())


def masks(net: nn.Module) -> dict[str, Tensor]:
    """Module path (of a bias ``<path>.bias``) -> bool mask of the weight's shape, as the next forward pass uses it; a copy."""
    refresh(net)
    return {name: mask.mask.detach().bool().clone() for name, mask in modules(net).items()}


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
            if (position := _position(module, key)) is not None:
                mask: Any = steps(module, key)[position]
                value = torch.where(mask.mask.bool(), value, original(module, key))
            state[f"{path}.{key}" if path else key] = value.detach().clone()
    return state


def key_of(name: str, state: Mapping[str, Tensor]) -> str:
    """The key in a state dict of what the mask ``name`` lies on: a layer's weight, or a bias by its own name."""
    return name if name in state else f"{name}.weight".lstrip(".")


def cut(state: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict that a network under masks computes with: zero where masked."""
    by_key = {key_of(name, state): mask for name, mask in masks.items()}
    return {key: value.masked_fill(~by_key[key], 0) if key in by_key else value for key, value in state.items()}
