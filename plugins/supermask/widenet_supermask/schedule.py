"""What changes while a supermask is trained: how much is kept, what trains, and weights that are drawn anew."""

from __future__ import annotations

from typing import Any

import attrs
from torch import nn

from widenet.masks import masked, refresh
from widenet_supermask.config import Supermask
from widenet_supermask.initialise import drawn_weight
from widenet_supermask.layout import Place
from widenet_supermask.ranked import Ranked, Scored
from widenet_supermask.variants.iterand import Iterand, redraw
from widenet_supermask.variants.sample import Sample


def annealed(keep: float, start: float, epochs: int, epoch: int) -> float:
    """The fraction kept in an epoch (from 1): from ``start`` to ``keep``, which epoch ``epochs + 1`` reaches.

    ``keep + (start - keep) (1 - t)^3`` with ``t = (epoch - 1) / epochs``: Zhu and Gupta, "To prune, or not to prune", 2017,
    equation 1.
    """
    left = max(0.0, 1 - (epoch - 1) / epochs) if epochs else 0.0
    return keep + (start - keep) * left**3


@attrs.frozen
class Schedule:
    """Callbacks for :func:`widenet.train.fit`; they hold nothing that a resumed run would lack."""

    run: Any
    net: nn.Module
    found: dict[str, Place]
    config: Supermask

    def before(self, epoch: int) -> None:
        """Set the kept fractions of an epoch, and what trains in it."""
        config = self.config
        for name, mask, weight in masked(self.net):
            if isinstance(mask, Ranked):
                mask.share.keep = annealed(self.found[name].keep, config.keep_start, config.anneal, epoch)
            if isinstance(mask, Scored | Sample) and config.freeze_scores:
                frozen = epoch > config.freeze_scores
                mask.scores.requires_grad_(not frozen)
                weight.requires_grad_(frozen and config.train_weights)

    def stepped(self, step: int) -> None:
        """Draw dropped weights anew, every so many steps; biases stay as the network drew them, no initialiser is for them."""
        if self.config.variant != "iterand" or step % self.config.redraw_every:
            return
        refresh(self.net)
        for name, mask, weight in masked(self.net):
            if isinstance(mask, Iterand) and (place := self.found[name]).parameter == "weight":
                generator = self.run.generator("redraw", step, name)
                fresh = drawn_weight(weight.shape, place.keep, self.config, generator)
                redraw(weight, mask.mask, self.config.redraw_rate, fresh, generator)
