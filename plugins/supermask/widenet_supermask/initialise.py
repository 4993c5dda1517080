"""Random weights and scores.

Source: Ramanujan et al. 2020, section 4.1 (signed Kaiming constant), and their code for the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

GAIN = math.sqrt(2)
"""He's gain for ReLU."""


def fans(shape: torch.Size) -> tuple[int, int]:
    """``(fan_in, fan_out)`` of a weight in torch layout ``(out, in, *kernel)``."""
    taps = math.prod(shape[2:])
    return shape[1] * taps, shape[0] * taps


def initial_weight(
    shape: torch.Size,
    init: str,
    generator: torch.Generator,
    *,
    fan: str = "fan_in",
    keep: float = 1.0,
    gain: float = GAIN,
) -> Tensor:
    """A float32 weight on the CPU.

    Args:
        shape: torch layout ``(out, in, *kernel)``.
        init: a name in ``Initialiser``.
        generator: where the numbers come from.
        fan: ``fan_in`` or ``fan_out``, for ``kaiming_normal``, ``kaiming_uniform``, ``signed_constant``, ``unsigned_constant``.
        keep: the fan counts this fraction of the weights: std = gain / sqrt(keep * fan). The uniform, Xavier and standard
            initialisers have no such scaling in the paper's code and ignore it.
        gain: sqrt(2) for ReLU.
    """
    fan_in, fan_out = fans(shape)
    chosen = {"fan_in": fan_in, "fan_out": fan_out}[fan]
    std = gain / math.sqrt(keep * chosen)
    xavier = math.sqrt(2 / (fan_in + fan_out))

    def normal(scale: float) -> Tensor:
        return torch.randn(shape, generator=generator) * scale

    def uniform(limit: float) -> Tensor:
        return (torch.rand(shape, generator=generator) * 2 - 1) * limit

    def sign(scale: float) -> Tensor:
        return torch.where(torch.rand(shape, generator=generator) < 0.5, -scale, scale)

    draw: dict[str, Callable[[], Tensor]] = {
        "kaiming_normal": lambda: normal(std),
        "kaiming_uniform": lambda: uniform(gain * math.sqrt(3 / chosen)),
        "signed_constant": lambda: sign(std),
        "unsigned_constant": lambda: torch.full(shape, std),
        "xavier_normal": lambda: normal(xavier),
        "xavier_constant": lambda: sign(xavier),
        "standard": lambda: uniform(1 / math.sqrt(fan_in)),
    }
    return draw[init]()


def initial_scores(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Scores uniform in +-1/sqrt(fan_in), float32 on the CPU."""
    return (torch.rand(shape, generator=generator) * 2 - 1) / math.sqrt(fans(shape)[0])
