"""Which layers are masked, how much each keeps, and which of them compete for places."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import attrs
from torch import nn

from widenet.errors import UsageError
from widenet.kernels.select import kept_of
from widenet.masks import layers, masks, original, places
from widenet.options import nearest
from widenet_supermask.config import Supermask, overrides
from widenet_supermask.ranked import Share

GIVEN = ("fixed", "random")
"""Variants that go by the masks of the run they start from, where it has some."""
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

    Variants that go by the masks that the network comes with, if it has any, mask the same places and keep as much of each.

    Raises:
        UsageError: nothing is left to mask, or an override matches none of it.
    """
    dense = dense_layers(net, config)
    given = masks(net) if config.variant in GIVEN else {}
    found = {
        name: (module, parameter)
        for name, module, parameter in places(net, config.mask_bias or bool(given))
        if module not in dense and (name in given or not given)
    }
    if not found:
        raise UsageError("the network has no linear or convolutional layer left to mask; choose another --arch")
    density = {name: float(mask.float().mean()) or 1.0 for name, mask in given.items()}  # nothing scales a dead layer
    own = _matched(list(found), overrides(config.keep_for)) if not given else {}
    return {
        name: Place(name, module, parameter, own.get(name, density.get(name, config.keep)), name in own)
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
    """Name -> the budget it draws on; those of one scope draw on the same one, an overridden place on its own.

    Raises:
        UsageError: the floors of some that compete, each rounded up, add up to more than they keep together.
    """
    groups: dict[str, list[Place]] = {}
    for name, place in found.items():
        scope = {"layer": name, "stage": name.partition(".")[0], "global": ""}[config.scope]
        groups.setdefault(f"alone {name}" if place.alone else f"shared {scope}", []).append(place)
    result: dict[str, Share] = {}
    for members in groups.values():
        _check_floors(members, config)
        share = Share(members[0].keep, config.floor)
        result |= {place.name: share for place in members}
    return result


def _check_floors(members: list[Place], config: Supermask) -> None:
    """Refuse places that compete for fewer weights than their floors take."""
    sizes = [original(place.module, place.parameter).numel() for place in members]
    keep = min(members[0].keep, config.keep_start) if config.anneal else members[0].keep
    floors, kept = sum(max(kept_of(size, config.floor), config.floor > 0) for size in sizes), kept_of(sum(sizes), keep)
    if len(members) > 1 and floors > kept:
        raise UsageError(
            f"--floor {config.floor:g} takes {floors} weights of the {len(sizes)} layers that compete, which keep {kept} in "
            f"all; lower --floor or raise --keep"
        )
