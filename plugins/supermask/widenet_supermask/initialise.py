"""Random weights and scores.

Source: Ramanujan et al. 2020, section 4.1 (signed Kaiming constant), and their code for the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from widenet_supermask.config import SCORED, Supermask

RELU = math.sqrt(2)
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
    gain: float = RELU,
) -> Tensor:
    """A float32 weight on the CPU.

    Args:
        shape: torch layout ``(out, in, *kernel)``.
        init: a name in :data:`~widenet_supermask.config.Initialiser`.
        generator: where the numbers come from.
        fan: ``fan_in`` or ``fan_out``, for ``kaiming_normal``, ``kaiming_uniform``, ``signed_constant``, ``unsigned_constant``.
        keep: fans count this fraction of the weights, which multiplies every initialiser's standard deviation by 1/sqrt(keep).
        gain: of the same four initialisers; sqrt(2) for ReLU.
    """
    fan_in, fan_out = fans(shape)
    kaiming = gain / math.sqrt(keep * {"fan_in": fan_in, "fan_out": fan_out}[fan])
    xavier = math.sqrt(2 / (keep * (fan_in + fan_out)))

    def normal(std: float) -> Tensor:
        return torch.randn(shape, generator=generator) * std

    def uniform(std: float) -> Tensor:
        return (torch.rand(shape, generator=generator) * 2 - 1) * (math.sqrt(3) * std)

    def sign(std: float) -> Tensor:
        return torch.where(torch.rand(shape, generator=generator) < 0.5, -std, std)

    draw: dict[str, Callable[[], Tensor]] = {
        "kaiming_normal": lambda: normal(kaiming),
        "kaiming_uniform": lambda: uniform(kaiming),
        "signed_constant": lambda: sign(kaiming),
        "unsigned_constant": lambda: torch.full(shape, kaiming),
        "xavier_normal": lambda: normal(xavier),
        "xavier_uniform": lambda: uniform(xavier),
        "xavier_constant": lambda: sign(xavier),
        "standard": lambda: uniform(1 / math.sqrt(3 * keep * fan_in)),
    }
    return draw[init]()


def drawn_weight(shape: torch.Size, keep: float, config: Supermask, generator: torch.Generator) -> Tensor:
    """A weight as the options ask for, of a layer that keeps this fraction; shape and result as of :func:`initial_weight`."""
    gain = nn.init.calculate_gain(config.nonlinearity) if config.gain is None else config.gain
    return initial_weight(shape, config.init, generator, fan=config.fan, keep=_counted(keep, config), gain=gain)


def _counted(keep: float, config: Supermask) -> float:
    """The fraction of a layer's weights that its fan counts.

    The paper's code counts what is removed where scores choose, and never scales uniform, Xavier and standard weights: so does
    ``compat`` original.
    """
    if not config.scale_fan:
        return 1.0
    if config.compat == "original":
        if config.init not in ("kaiming_normal", "signed_constant", "unsigned_constant"):
            return 1.0
        return 1 - keep if config.variant in SCORED else keep
    return keep


def initial_scores(weight: Tensor, fan_in: int, config: Supermask, generator: torch.Generator) -> Tensor:
    """First scores, float32 on the CPU, of the shape of ``weight``; ``fan_in`` is that of its layer.

    ``uniform`` in +-1/sqrt(fan_in) and ``normal`` have the standard deviation 1/sqrt(3 fan_in); ``magnitude`` is |weight|.
    """
    draw: dict[str, Callable[[], Tensor]] = {
        "uniform": lambda: (torch.rand(weight.shape, generator=generator) * 2 - 1) / math.sqrt(fan_in),
        "normal": lambda: torch.randn(weight.shape, generator=generator) / math.sqrt(3 * fan_in),
        "constant": lambda: torch.ones(weight.shape),
        "magnitude": lambda: weight.detach().abs().cpu(),
    }
    return draw[config.score_init]() * config.score_scale
