"""What a run comes to: counts of its masks, and its best epochs, under the names of the published code's summaries."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from widenet.errors import Stopped, WnError
from widenet_weight_symmetry.across_config import COUNTED, MASKS

Line = Mapping[str, Any]
FROM = {
    "train_avg_loss": "train/loss",
    "train_accuracy": "train/accuracy",
    "test_avg_loss": "test/loss",
    "test_accuracy": "test/accuracy",
    "step": "step",
    "cosine_distance": "cosine_similarity",
    "cumulative_gradient_norm": "cumulative_gradient_norm",
    "vector_difference_norm": "distance",
}
"""Field of a summary -> its name among the metrics of a run."""


def summary(run: Any, net: Callable[[], Any]) -> dict[str, Any]:
    """The fields of one run that it has; see :data:`widenet_weight_symmetry.across_config.FIELDS`.

    ``mask/*`` and ``propagated_mask/*`` are those the run logged, the last of each if it did so more than once; where it logged
    none, the masks it ended with are counted (all ones where it has none). ``best_test_acc/*`` are the metrics of the epoch of
    the best test accuracy, ``best_train_loss/*`` those of the lowest training loss, among the epochs that were evaluated; of
    equals the last. (The published code writes the former under both names.)

    Args:
        run: a finished :class:`~widenet.runs.Run`.
        net: makes its network; called only where masks are to be counted.

    Raises:
        WnError: the metrics or the masks are damaged.
    """
    lines = run.metrics()
    masks = last(lines) or counted(run, net)
    evaluated = [line for line in lines if _number(line, "test/accuracy")]
    found = {
        **masks,
        **best(evaluated, "best_test_acc", "test/accuracy"),
        **best(evaluated, "best_train_loss", "train/loss", -1),
    }
    return {name: value for name, value in found.items() if value is not None}


def last(lines: Iterable[Line]) -> dict[str, Any]:
    """What was last logged of each field of the masks."""
    names = [f"{part}/{name}" for part in MASKS for name in COUNTED]
    found = {name: line[name] for line in lines for name in names if name in line}
    texts = {name: str(value) for name, value in found.items() if name.endswith("/permutations")}
    return {**found, **texts}


def best(lines: Sequence[Line], part: str, criterion: str, sign: int = 1) -> dict[str, Any]:
    """The fields ``<part>/*`` of the line in which ``sign`` times the criterion is largest; the last of several such."""
    able = [line for line in lines if _number(line, criterion)]
    if not able:
        return {}
    chosen = max(reversed(able), key=lambda line: sign * line[criterion])
    return {f"{part}/{field}": chosen.get(name) for field, name in FROM.items()}


def counted(run: Any, net: Callable[[], Any]) -> dict[str, Any]:
    """The fields of the masks that a run ended with, and of those propagated; where they cannot be had none, and a line why."""
    import torch

    from widenet_weight_symmetry.counting import Counter

    masks = {name: torch.from_numpy(mask) for name, mask in run.masks().items()} if run.has_masks() else {}
    try:
        counter = Counter(net(), tuple(run.record["shape"]))
        return counter.logged("mask", masks) | counter.logged("propagated_mask", counter.propagated(masks))
    except Stopped:
        raise
    except (ValueError, WnError) as error:
        run.say(f"the masks of {run.name} are not counted: {error}")
        return {}


def log10_permutations(run: Any, fields: Mapping[str, Any]) -> float | None:
    """log10 of the permutations that the masks leave which the run ended with: of the propagated ones, if it put those on.

    None where they were not counted, or a layer is dead: it has no unit to permute, which is not to have no symmetry.
    """
    part = "propagated_mask" if run.option("propagate") else "mask"
    value = fields.get(f"{part}/permutation_log10")
    if value is None or value > 15:  # of permutations + 1, where 1 makes no difference
        return value
    permutations = round(10**value) - 1
    return math.log10(permutations) if permutations else None


def _number(line: Line, name: str) -> bool:
    """Whether the line has a number under a name; one that was not finite is stored as null."""
    return line.get(name) is not None
