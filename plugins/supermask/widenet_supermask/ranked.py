"""Masks that keep the highest ranked weights, and the budget that layers may share."""

from __future__ import annotations

from torch import Tensor, nn

from widenet.kernels.select import Hint, topk_masked, topk_together
from widenet.masks import Chosen, factor, original


class Share:
    """How much is kept, and of what: one budget for the weights of one layer, or of several that compete for places.

    Args:
        keep: fraction of all weights in it that is kept; may be changed between steps.
        floor: fraction of each layer's weights that is kept whatever its rank.
    """

    def __init__(self, keep: float, floor: float = 0.0) -> None:
        self.keep = keep
        self.floor = floor
        self.members: list[tuple[Ranked, nn.Module, str]] = []
        self.hint = Hint()

    def join(self, mask: Ranked, layer: nn.Module, parameter: str) -> Ranked:
        """Take in the mask of a layer's parameter, and give it back."""
        self.members.append((mask, layer, parameter))
        return mask

    def choose(self) -> None:
        """Write the masks of all members."""
        weights = [original(layer, parameter).detach() for _, layer, parameter in self.members]
        chosen = [mask for mask, _, _ in self.members]
        ranked = [mask.ranked(weight) for mask, weight in zip(chosen, weights, strict=True)]
        topk_together(ranked, self.keep, masks=[mask.mask for mask in chosen], floor=self.floor, hint=self.hint)
        for mask, weight in zip(chosen, weights, strict=True):
            mask.chosen(weight)


class Ranked(Chosen):
    """Base of masks that keep the weights of the highest rank, the largest ``|scores|`` unless a subclass ranks otherwise.

    Args:
        like: tensor whose shape, strides and device the mask takes.
        share: the budget; :meth:`Share.join` comes after.
    """

    def __init__(self, like: Tensor, share: Share) -> None:
        super().__init__(like)
        self.share = share

    def stamp(self, weight: Tensor) -> tuple[object, ...]:
        """A changed budget asks for a new choice too."""
        return *super().stamp(weight), self.share.keep

    def choose(self, weight: Tensor) -> None:
        """Write the mask, and those of the layers that it competes with."""
        if self.alone:
            topk_masked(weight, self.ranked(weight), self.share.keep, mask=self.mask, hint=self.share.hint)
        else:
            self.share.choose()

    @property
    def alone(self) -> bool:
        """Whether it shares its budget with no other layer."""
        return len(self.share.members) < 2

    def masked(self, weight: Tensor) -> Tensor:
        """The weight with all but the kept entries zero; no gradient passes."""
        if not self.stale(weight):
            return weight * factor(self.mask, weight)
        if not self.alone:
            self.share.choose()
            return weight * factor(self.mask, weight)
        # One sweep over the scores gives the mask and the product.
        _, product = topk_masked(weight, self.ranked(weight), self.share.keep, mask=self.mask, hint=self.share.hint)
        self.chosen(weight)
        return product


class Scored(Ranked):
    """Base of :class:`Ranked` masks whose scores are trained, one for each weight.

    Args:
        scores: first scores, float, of the weight's shape; they become the parameter that is trained.
        share: the budget.
    """

    def __init__(self, scores: Tensor, share: Share) -> None:
        super().__init__(scores, share)
        self.scores = nn.Parameter(scores)
