"""Which layers are masked, how much each keeps, and which of them compete for places."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import attrs
from torch import nn

from widenet.errors import UsageError
from widenet.masks import layers, places
from widenet.options import nearest
from widenet_supermask.config import Supermask, overrides
from widenet_supermask.ranked import Share

SHOWN = 8
"""Names in a message before it says how many more there are."""


@attrs.frozen
class Place:
    """A weight (or bias) to be masked: where it is, and the fraction of it to keep."""

    name: str
    module: nn.Module
    parameter: str
    keep: float
    alone: bool
    """Whether an override gives it a fraction of its own."""


def layout(net: nn.Module, config: Supermask) -> dict[str, Place]:
    """Name -> place of all that is to be masked, in the order of the network.

    Raises:
        UsageError: nothing is left to mask, or an override matches none of it.
    """
    dense = dense_layers(net, config)
    found = {name: (module, parameter) for name, module, parameter in places(net, config.mask_bias) if module not in dense}
    if not found:
        raise UsageError("the network has no linear or convolutional layer left to mask; choose another --arch")
    own = _matched(list(found), overrides(config.keep_for))
    return {
        name: Place(name, module, parameter, own.get(name, config.keep), name in own)
        for name, (module, parameter) in found.items()
    }


def dense_layers(net: nn.Module, config: Supermask) -> list[nn.Module]:
    """The first and last layer, where they are to stay dense."""
    found = [module for _, module in layers(net)]
    return [*found[: int(config.first_dense)], *found[len(found) - int(config.last_dense) :]]


def _matched(names: list[str], wanted: Mapping[str, float]) -> dict[str, float]:
    """Name -> fraction, of the names that a pattern matches in whole or up to a dot; the last match counts.

    Raises:
        UsageError: a pattern matches nothing.
    """
    found: dict[str, float] = {}
    for pattern, keep in wanted.items():
        matches = [name for name in names if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")]
        if not matches:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            hint = nearest(pattern, names) or f"; there are {', '.join(names[:SHOWN])}{more}"
            raise UsageError(f"--keep-for {pattern}={keep:g}: no masked layer is called {pattern!r}{hint}")
        found |= dict.fromkeys(matches, keep)
    return found


def budgets(found: Mapping[str, Place], config: Supermask) -> dict[str, Share]:
    """Name -> the budget it draws on; those of one scope draw on the same one, an overridden place on its own."""
    shared: dict[str, Share] = {}
    result = {}
    for name, place in found.items():
        scope = {"layer": name, "stage": name.partition(".")[0], "global": ""}[config.scope]
        key = f"alone {name}" if place.alone else f"shared {scope}"
        result[name] = shared.setdefault(key, Share(place.keep, config.floor))
    return result
