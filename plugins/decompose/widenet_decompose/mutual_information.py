"""Analysis ``mutual-information``: the published table, and beside it what it takes to read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from widenet_decompose.choice import chosen, usual
from widenet_decompose.config import MutualInformation
from widenet_decompose.features import class_readout, gates_of
from widenet_decompose.information import index_information, mean_histogram_information, overlap
from widenet_decompose.tally import Tally


def mutual_information(run: Any, net: Any, data: Any, config: MutualInformation) -> Iterator[dict[str, Any]]:
    """Yield a row a score and size: mutual information in nats, overlap, and how far beyond random sets it is.

    ``z`` is the distance of the off-diagonal average from that of random sets, in standard deviations of theirs.

    Raises:
        UsageError: the network has no read-out, or the units asked for cannot be found.
    """
    head = class_readout(net, data)
    units = head.weight.shape[1]
    gated = gates_of(run, *head.weight.shape) is not None
    choice = chosen(run, net, data, head, config, config.score or usual(gated, config.indices is not None))
    for (score, size), filters in choice.filters.items():
        draws = [index_information(choice.random(filters.size, draw), units) for draw in range(config.draws)]
        random = {name: np.array([each[name] for each in draws]) for name in draws[0]}
        spread = float(random["off_diagonal"].std(ddof=1)) if config.draws > 1 else 0.0
        centre = float(random["off_diagonal"].mean())
        if score == "random":
            found = {name: float(values.mean()) for name, values in random.items()}
        else:
            found = index_information(filters.mask, units)
        yield {
            "score": score,
            "k": size,
            **found,
            "random_off_diagonal": centre,
            "random_deviation": spread,
            "z": (found["off_diagonal"] - centre) / spread if spread and score != "random" else None,
            **overlap(filters.mask),
            **(_histograms(choice.tally, int(size)) if score == "frequency" else {}),
        }


def _histograms(tally: Tally | None, k: int) -> dict[str, float]:
    """The second code's scores of how often units are counted."""
    assert tally is not None
    return mean_histogram_information(tally.score("frequency", k).cpu())
