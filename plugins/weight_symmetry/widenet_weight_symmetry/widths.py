"""Hidden widths of a fully connected network that spend a budget of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

EXTRA = 3
"""Parameters of a hidden unit beside its incoming weights: bias, and batch normalisation's scale and shift."""


def solve(
    inputs: int, params: int, depth: int, growth: float = 2, classes: int | None = None, compat: bool = False
) -> tuple[int, ...]:
    """Widths l, l a, l a^2, ... of ``depth`` hidden layers such that ``mnist-fc`` has about ``params`` parameters.

    All parameters count, those of the classifier too where ``classes`` is given. The real l that meets the budget is found, the
    widths but the last are rounded (truncated where that alone would overspend), and the last takes what brings the count
    closest: within half of what one more unit of that layer costs. Where the widths of ``compat`` come closer, they are taken.

    ``compat`` counts the hidden layers' weights alone and truncates l, as the published code does; at a small budget or a
    great depth it leaves tens of percent of the budget unspent.

    Args:
        inputs: length of an input.
        params: the budget.
        depth: number of hidden layers.
        growth: a, the ratio of a layer's width to that of the layer before.
        classes: outputs of the classifier, or None to leave it out.
        compat: as above.

    Raises:
        ValueError: ``params`` is less than the narrowest such network has, the smallest budget is named; or another argument
            is not positive, or so large that the widths overflow.
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1 hidden layer, not {depth}")
    if inputs < 1 or not growth > 0 or (classes is not None and classes < 1):
        raise ValueError(f"inputs, growth and classes must be positive, not {inputs}, {growth} and {classes}")
    try:
        return _solved(inputs, params, depth, growth, classes, compat)
    except OverflowError:
        raise ValueError(f"widths that grow by {growth} over {depth} layers are beyond all bounds; lower one of them") from None


def parameters(widths: Sequence[int], inputs: int, classes: int | None = None) -> int:
    """Parameters of ``mnist-fc`` with these hidden widths: weights, biases, norms, and the classifier's where there is one."""
    hidden = sum((fan_in + EXTRA) * width for fan_in, width in pairwise((inputs, *widths)))
    last = widths[-1] if widths else inputs
    return hidden + (last + 1) * (classes or 0)


def _solved(inputs: int, params: int, depth: int, growth: float, classes: int | None, compat: bool) -> tuple[int, ...]:
    if compat:
        _refuse_below(_fewest_weights(inputs, depth, growth), inputs, params, depth)
        return _published(inputs, params, depth, growth)
    fewest = parameters(_scaled(_narrowest(growth, depth), growth, depth, round), inputs, classes)
    _refuse_below(fewest, inputs, params, depth)
    found = [_closest(inputs, params, depth, growth, classes)]
    if params >= _fewest_weights(inputs, depth, growth):
        found.append(_published(inputs, params, depth, growth))
    return min(found, key=lambda widths: abs(parameters(widths, inputs, classes) - params))


def _closest(inputs: int, params: int, depth: int, growth: float, classes: int | None) -> tuple[int, ...]:
    """The widths whose last one meets the budget of all parameters best."""
    outputs = classes or 0
    linear = inputs + EXTRA * sum(growth**i for i in range(depth)) + growth ** (depth - 1) * outputs
    first = max(_narrowest(growth, depth), _root(_curvature(growth, depth), linear, params - outputs))
    for whole in (round, int):
        others = _scaled(first, growth, depth, whole)[:-1]
        left = params - parameters(others, inputs) - outputs
        last = round(left / ((inputs, *others)[-1] + EXTRA + outputs))
        if last > 0:
            break
    return (*others, max(1, last))


def _published(inputs: int, params: int, depth: int, growth: float) -> tuple[int, ...]:
    """The widths of the published code: hidden layers' weights only, the first width truncated and then each of the others."""
    if depth == 1:
        first = params / inputs
    else:
        curvature = _curvature(growth, depth)
        first = (math.sqrt(inputs**2 + 4 * curvature * params) - inputs) / (2 * curvature)
    return _scaled(int(first), growth, depth, int)


def _fewest_weights(inputs: int, depth: int, growth: float) -> int:
    """The weights of the narrowest hidden layers that truncation gives."""
    first = math.ceil(_narrowest(growth, depth))
    return math.ceil(inputs * first + _curvature(growth, depth) * first**2)


def _narrowest(growth: float, depth: int) -> float:
    """The first width with which the narrowest of all is 1."""
    return max(1.0, growth ** -(depth - 1))


def _curvature(growth: float, depth: int) -> float:
    """The factor of l^2 in the weights of hidden layers of widths l, l a, l a^2, ...: the sum of a^(2i - 3), i = 2..depth."""
    return float(sum(growth ** (2 * i - 3) for i in range(2, depth + 1)))


def _root(square: float, linear: float, value: float) -> float:
    """The positive l with ``square * l**2 + linear * l = value``, in the form that ``square`` 0 permits."""
    return 2 * value / (linear + math.sqrt(linear**2 + 4 * square * value))


def _scaled(first: float, growth: float, depth: int, whole: Callable[[float], int]) -> tuple[int, ...]:
    return tuple(max(1, whole(first * growth**i)) for i in range(depth))


def _refuse_below(fewest: int, inputs: int, params: int, depth: int) -> None:
    if params < fewest:
        raise ValueError(
            f"{params} parameters are too few for {depth} hidden layers over {inputs} inputs; give at least {fewest}"
        )
