"""Analysis ``mutual-information``: the published table, and beside it what it takes to read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from widenet import figures
from widenet.capture import ReadOut
from widenet_decompose import figure
from widenet_decompose.choice import Choice, chosen, usual
from widenet_decompose.config import MutualInformation
from widenet_decompose.features import class_readout, gates_of
from widenet_decompose.filters import Filters
from widenet_decompose.information import index_information, mean_histogram_information, overlap
from widenet_decompose.tally import Tally


def mutual_information(run: Any, net: Any, data: Any, config: MutualInformation) -> Iterator[dict[str, Any]]:
    """Yield a row a score and size: mutual information in nats, overlap, and how far beyond random sets it is.

    ``z`` is the distance of the off-diagonal average from that of random sets, in standard deviations of theirs.

    Raises:
        UsageError: the network has no read-out, or the units asked for cannot be found.
    """
    head = class_readout(net, data)
    title = f"{run.name}, {head.layer}"
    rows = _rows(run, net, data, head, config)
    yield from figures.beside(rows, lambda found: figure.mutual_information(found, title), run, "mutual-information")


def _rows(run: Any, net: Any, data: Any, head: ReadOut, config: MutualInformation) -> Iterator[dict[str, Any]]:
    units = head.weight.shape[1]
    gated = gates_of(run, *head.weight.shape) is not None
    choice = chosen(run, net, data, head, config, config.score or usual(gated, config.indices is not None))
    drawn: dict[str, dict[str, np.ndarray]] = {}
    for (score, size), filters in choice.filters.items():
        sizes = str([len(members) for members in filters.sets])
        random = drawn[sizes] = drawn.get(sizes) or _random(choice, filters, config.draws)
        spread = float(random["off_diagonal"].std(ddof=1)) if config.draws > 1 else 0.0
        centre = float(random["off_diagonal"].mean())
        own = {**index_information(filters.mask, units), **overlap(filters.mask)}
        found = {name: float(random[name].mean()) for name in own} if score == "random" else own
        yield {
            "score": score,
            "k": size,
            **{name: found[name] for name in ("all_pairs", "off_diagonal", "self")},
            "random_off_diagonal": centre,
            "random_deviation": spread,
            "z": (found["off_diagonal"] - centre) / spread if spread and score != "random" else None,
            **{name: found[name] for name in ("distinct", "most_shared", "jaccard")},
            **(_histograms(choice.tally, int(size)) if score == "frequency" else {}),
        }


def _random(choice: Choice, like: Filters, draws: int) -> dict[str, np.ndarray]:
    """Information and overlap of random sets of the sizes of others, by measure (draws,)."""
    masks = [choice.random(like, draw).mask for draw in range(draws)]
    found = [{**index_information(mask, like.units), **overlap(mask)} for mask in masks]
    return {name: np.array([each[name] for each in found]) for name in found[0]}


def _histograms(tally: Tally | None, k: int) -> dict[str, float]:
    """The second code's scores of how often units are counted."""
    assert tally is not None
    return mean_histogram_information(tally.score("frequency", k).cpu())
