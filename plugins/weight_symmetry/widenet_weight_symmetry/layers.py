"""Which layers of a network are masked."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from widenet.errors import UsageError
from widenet.masks import layers, original
from widenet_weight_symmetry.rates import matches


def positions(net: nn.Module, wanted: Sequence[str] = ()) -> dict[str, int]:
    """Module path -> position from 0 among the layers before the last, of those that :func:`maskable` gives."""
    chosen = maskable(net, wanted)
    return {name: place for place, name in enumerate(maskable(net)) if name in chosen}


def maskable(net: nn.Module, wanted: Sequence[str] = ()) -> dict[str, Tensor]:
    """Module path -> weight of the layers to mask, in the network's order: all but the last, which classifies, or those wanted.

    Args:
        net: any network.
        wanted: of those layers, positions from 0 or patterns of their paths; none takes all.

    Raises:
        UsageError: there is none but the last, or one that is wanted does not exist; the message lists what does.
    """
    found = {name: original(module) for name, module in layers(net)}
    hidden = dict(list(found.items())[:-1])
    if not hidden:
        raise UsageError("this network has no layer to mask before its last; choose another --arch")
    for word in wanted:
        if not any(matches(word, place, name) for place, name in enumerate(hidden)):
            listed = ", ".join(f"{place} {name}" for place, name in enumerate(hidden))
            raise UsageError(f"masked_layers: no layer {word!r} before the last; there are: {listed}")
    return {
        name: weight
        for place, (name, weight) in enumerate(hidden.items())
        if not wanted or any(matches(word, place, name) for word in wanted)
    }
