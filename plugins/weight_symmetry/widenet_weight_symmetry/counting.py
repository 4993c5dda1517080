"""The symmetry that masks leave a network, for methods: what they log, and what they return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from widenet.masks import masks
from widenet_weight_symmetry.follow import follow
from widenet_weight_symmetry.propagate import propagate_masks
from widenet_weight_symmetry.symmetry import count_spaces, decimal_text, stats

Masks = Mapping[str, Tensor]
RESULT = ("sparsity", "unique_neurons", "zeroed_neurons", "log10_permutations")
"""What a run states of its masks in the end."""


class Counter:
    """Counts the symmetry of one network, whose structure is found once, and not again while its masks stay as they are."""

    def __init__(self, net: nn.Module, shape: tuple[int, ...]) -> None:
        self.net = net
        self.structure = follow(net, shape)
        self._of: Masks | None = None
        self._found: dict[str, Any] = {}

    def count(self, found: Masks | None = None) -> dict[str, Any]:
        """What :func:`count_spaces` says under these masks, or under those that the network has."""
        found = masks(self.net) if found is None else found
        if self._of is None or not _equal(self._of, found):
            self._of, self._found = found, count_spaces(self.structure.masked({name: m.cpu() for name, m in found.items()}))
        return self._found

    def propagated(self, found: Masks) -> dict[str, Tensor]:
        """These masks without what dead units send on."""
        layers = propagate_masks(self.structure.masked(found)).layers
        changed = {name: layer.mask for name, layer in layers.items() if layer.mask is not None}
        return {name: changed.get(name, mask) for name, mask in found.items()}

    def logged(self, prefix: str, found: Masks | None = None) -> dict[str, Any]:
        """The original's seven statistics, as ``<prefix>/<name>``; the number of permutations as text."""
        seven = stats(self.count(found)["total"])
        return {
            f"{prefix}/{name}": value for name, value in {**seven, "permutations": decimal_text(seven["permutations"])}.items()
        }

    def result(self, found: Masks | None = None) -> dict[str, Any]:
        """What a run states in the end."""
        total = self.count(found)["total"]
        return {name: total[name] for name in RESULT}

    def dead(self, found: Masks | None = None) -> list[str]:
        """Layers of which no unit is alive."""
        return [name for name, row in self.count(found)["layers"].items() if row["dead"]]


def _equal(one: Masks, other: Masks) -> bool:
    return one.keys() == other.keys() and all(torch.equal(mask, other[name]) for name, mask in one.items())
