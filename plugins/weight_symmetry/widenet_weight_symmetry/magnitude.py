"""Pruning by magnitude: of one layer, of layers that compete, and by the rule of the published code.

All functions are pure: weights in, new bool masks out. A weight that is masked already stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from widenet.kernels.select import topk_together
from widenet_weight_symmetry.masks import kept


@torch.no_grad()
def magnitude(weight: Tensor, sparsity: float, mask: Tensor | None = None, of: str = "all") -> Tensor:
    """The mask that keeps the largest weights of a layer, as many as ``kept(n, sparsity)`` says.

    Of equal magnitudes those with the lowest flat index go first. A layer that is sparser already stays as it is.

    Args:
        weight: float, any shape.
        sparsity: fraction that is zero afterwards, from 0 to 1.
        mask: bool of the weight's shape, what is left so far; None for all.
        of: ``all``, so that n is the number of weights; or ``survivors``, the number of those left so far.

    Raises:
        ValueError: a sparsity outside [0, 1], an unknown ``of``, a mask of another shape.
    """
    return together({"": weight}, None if mask is None else {"": mask}, sparsity, of)[""]


@torch.no_grad()
def together(
    weights: Mapping[str, Tensor],
    masks: Mapping[str, Tensor] | None,
    sparsity: float,
    of: str = "all",
    *,
    floor: float = 0.0,
) -> dict[str, Tensor]:
    """Masks of several layers that keep the largest weights of all; counts and ties as of :func:`magnitude`, over all layers.

    Args:
        weights: name -> float weight; one dtype and device.
        masks: what is left so far, by the same names; a layer that is missing is whole.
        sparsity: fraction of all weights together.
        of: as for :func:`magnitude`.
        floor: fraction of its weights that each layer keeps at least, and one weight if it is above 0; a layer that has
            fewer left keeps those.

    Raises:
        ValueError: as :func:`magnitude`; or a floor outside [0, 1], or one that keeps more than the sparsity does.
    """
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be from 0 to 1, not {sparsity}")
    if of not in ("all", "survivors"):
        raise ValueError(f"of must be 'all' or 'survivors', not {of!r}")
    if not 0 <= floor <= 1:
        raise ValueError(f"floor must be from 0 to 1, not {floor}")
    before = {name: _given(name, weight, masks) for name, weight in weights.items()}
    total, left = sum(weight.numel() for weight in weights.values()), sum(int(mask.sum()) for mask in before.values())
    count = kept(total if of == "all" else left, sparsity)
    scores = [_ranked(weight, before[name]) for name, weight in weights.items()]
    after = {name: torch.empty_like(mask) for name, mask in before.items()}
    # Half a weight less than the count, so that no rounding of the fraction changes the number kept.
    fraction = max(count - 0.5, 0) / max(total, 1)
    try:
        topk_together(scores, fraction, masks=list(after.values()), floor=floor)
    except ValueError as error:
        if "a floor of" not in str(error):
            raise
        raise ValueError(f"a floor of {floor} keeps more than a sparsity of {sparsity} does; lower one of them") from None
    return {name: mask & before[name] for name, mask in after.items()}


@torch.no_grad()
def as_published(
    weight: Tensor,
    rate: float,
    mask: Tensor | None = None,
    saliency: Callable[[Tensor], Tensor] | None = None,
    compare: Callable[[Tensor, Tensor], Tensor] = torch.gt,
) -> Tensor:
    """The mask by the rule of the published code, which removes one weight more than ``rate`` asks for.

    With v the sorted ``|saliency|`` of the n masked weights, a weight is kept where its saliency is greater than
    ``v[min(round(rate * n), n - 1)]``; the product is taken in float32 and rounded half to even.

    Args:
        weight: float, any shape.
        rate: fraction of all weights that is to be zero afterwards, from 0 to 1.
        mask: as for :func:`magnitude`.
        saliency: of the masked weight, of its shape; the magnitude if None.
        compare: ``(saliency, threshold) -> bool``, whether a weight is kept.

    Raises:
        ValueError: a rate outside [0, 1], a mask of another shape.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate must be from 0 to 1, not {rate}")
    masked = weight * _given("", weight, None if mask is None else {"": mask})
    value = masked.abs() if saliency is None else saliency(masked)
    index = int((torch.tensor(rate, dtype=torch.float32) * weight.numel()).round())
    threshold = value.abs().flatten().sort().values[min(index, weight.numel() - 1)]
    return compare(value, threshold)


def _given(name: str, weight: Tensor, masks: Mapping[str, Tensor] | None) -> Tensor:
    """What is left of a layer so far: bool, of its shape."""
    mask = (masks or {}).get(name)
    if mask is None:
        return torch.ones_like(weight, dtype=torch.bool)
    if mask.shape != weight.shape:
        raise ValueError(f"the mask {name} has shape {tuple(mask.shape)}, its weight {tuple(weight.shape)}".replace("  ", " "))
    return mask.to(weight.device).bool()


def _ranked(weight: Tensor, mask: Tensor) -> Tensor:
    """Magnitudes, each raised to the next float, above the 0 of what is masked: a weight of 0 that is left goes after that."""
    size = weight.abs()
    if size.dtype not in (torch.float32, torch.float64):
        size = size.float()
    return torch.nextafter(size, torch.full_like(size, torch.inf)).masked_fill_(~mask, 0)
