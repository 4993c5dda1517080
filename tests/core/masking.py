"""Masks for tests."""

import torch
from torch import nn

from widenet.masks import Chosen, Fixed, factor


def half(name, weight):
    return Fixed(torch.arange(weight.numel()).reshape(weight.shape) % 2 == 0)


class Positive(Chosen):
    """Keeps where the scores are positive, and counts how often it chose."""

    def __init__(self, scores):
        super().__init__(scores)
        self.scores, self.count = nn.Parameter(scores), 0

    def choose(self, weight):
        self.count += 1
        self.mask.copy_(self.ranked(weight) > 0)

    def forward(self, weight):
        self.refresh(weight)
        return weight * (factor(self.mask, weight) + self.scores - self.scores.detach())
