"""What is measured of chunks, as tables of one value a chunk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from widenet.kernels.gram import Gram
from widenet_redundant_repr.chunks import batch_statistics, held_out_r2, undefined
from widenet_redundant_repr.draws import SPLITS, Chosen
from widenet_redundant_repr.nested import Nested, nested_errors, nested_held_out, nested_statistics
from widenet_redundant_repr.readout import Readout, Refitted, Sliced, chunk_errors
from widenet_redundant_repr.representation import Representation

NUMBERS = 1 << 26
"""Numbers (up to half a GB) that the weights or factors tried in one pass may take."""
STATISTICS = ("r2", "r2_out", "correlation", "correlation_out")


@attrs.frozen(eq=False)
class Grams:
    """Sums over the samples: of the test features, and of the training features with their targets beside them."""

    test: Gram
    train: Gram | None = None

    @property
    def train_features(self) -> Gram:
        """The training features alone."""
        assert self.train is not None
        return self.train.columns(slice(0, len(self.test.mean)))


@attrs.frozen(eq=False)
class Measured:
    """Values of chunks: each of ``values`` is float64 (K, R), of R chunks of each of K sizes.

    ``of`` is the layer or a control, ``chunks`` how they were chosen; where a value is NaN, the size's ``reasons`` say why.
    """

    of: str
    chunks: str
    sizes: list[int]
    values: dict[str, np.ndarray]
    reasons: list[str]


def readouts(found: Representation, train: Gram | None) -> dict[str, Readout]:
    """The read-outs that chunks are tried under: by the prefix of their values' names, "" being the trained one's part."""
    made: dict[str, Readout] = {}
    if found.head is not None:
        weight, bias = found.head.weight, found.head.bias
        made = {"": Sliced(weight, bias), "rescaled_": Sliced(weight, bias, rescaled=True)}
    return made if train is None else {**made, "refitted_": Refitted(train, found.classes)}


def errors(found: Representation, split: Any, chunks: Chosen, under: Mapping[str, Readout]) -> dict[str, np.ndarray]:
    """``<read-out>_<split>_error`` and ``..._loss`` of the chunks, each (K, R), in a pass over the split.

    More passes are made where the weights of all chunks would not fit into memory: many chunks of a wide layer, many classes.
    """
    flat = [index for of_size in chunks.values() for index in of_size]
    together = max(1, NUMBERS // (found.width * found.classes * len(under)))
    parts = [
        chunk_errors(found.batches(split), flat[start : start + together], under) for start in range(0, len(flat), together)
    ]
    scores = {name: np.concatenate([part[name] for part in parts]) for name in under}
    return {
        f"{name}{split}_{what}": _table(score[:, column], chunks)
        for name, score in scores.items()
        for column, what in enumerate(("error", "loss"))
    }


def statistics(gram: Gram, chunks: Chosen, train: Gram | None = None) -> dict[str, np.ndarray]:
    """R2 and residual correlations of the chunks, each (K, R); with ``train`` also R2 on ``gram`` of the fit to ``train``."""
    values: dict[str, list[float]] = {name: [] for name in STATISTICS}
    held_out = []
    for of_size in chunks.values():
        for found in batch_statistics(gram, torch.stack(list(of_size))):
            for name, value in attrs.asdict(found).items():
                values[name].append(value)
        if train is not None:
            held_out += [held_out_r2(train, gram, index) for index in of_size]
    if train is not None:
        values["r2_held_out"] = held_out
    return {name: _table(np.array(of_all), chunks) for name, of_all in values.items()}


def _table(values: np.ndarray, chunks: Chosen) -> np.ndarray:
    """Values in the order of the chunks, by size: (K, R); a size with a single chunk repeats it."""
    counts = [len(of_size) for of_size in chunks.values()]
    parts = np.split(values, np.cumsum(counts)[:-1])
    return np.stack([np.resize(part, max(counts)) for part in parts])


def measured(found: Representation, grams: Grams, for_errors: Mapping[str, Chosen], for_r2: Chosen, chunks: str) -> Measured:
    """Everything of chunks that are given: ``for_errors`` those of each split, ``for_r2`` those of the statistics."""
    under = readouts(found, grams.train)
    values: dict[str, np.ndarray] = {}
    for split in SPLITS:
        values |= errors(found, split, for_errors[split], under) if under else {}
    values |= statistics(grams.test, for_r2, grams.train_features if grams.train is not None else None)
    return Measured("layer", chunks, list(for_r2), values, [undefined(grams.test, size) for size in for_r2])


def control(name: str, gram: Gram, chunks: Chosen) -> Measured:
    """R2 and residual correlations of features that are there to compare with."""
    return Measured(name, "random", list(chunks), statistics(gram, chunks), [undefined(gram, size) for size in chunks])


def every_size(
    found: Representation, grams: Grams, for_errors: Mapping[str, Sequence[Tensor]], for_r2: Sequence[Tensor]
) -> Measured:
    """Everything of all sizes 1 ... P: of the first c neurons of permutations."""
    values: dict[str, np.ndarray] = {}
    for split in SPLITS:
        values |= _nested_errors(found, grams, split, for_errors[split])
    each = [nested_statistics(grams.test, order) for order in for_r2]
    values |= {name: np.stack([one[name] for one in each], 1) for name in STATISTICS}
    train = grams.train_features
    values["r2_held_out"] = np.stack([nested_held_out(train, grams.test, order) for order in for_r2], 1)
    sizes = list(range(1, found.width + 1))
    return Measured("layer", "nested", sizes, values, [undefined(grams.test, size) for size in sizes])


def _nested_errors(found: Representation, grams: Grams, split: Any, orders: Sequence[Tensor]) -> dict[str, np.ndarray]:
    together = max(1, NUMBERS // found.width**2)
    groups = [_nested_group(found, grams, split, orders[start : start + together]) for start in range(0, len(orders), together)]
    return {name: np.concatenate([group[name] for group in groups], 1) for name in groups[0]}


def _nested_group(found: Representation, grams: Grams, split: Any, orders: Sequence[Tensor]) -> dict[str, np.ndarray]:
    kinds: dict[str, list[Nested]] = {"refitted_": [Nested(order, None, grams.train) for order in orders]}
    if found.head is not None:
        kinds[""] = [Nested(order, found.head) for order in orders]
        kinds["rescaled_"] = [Nested(order, found.head, rescaled=True) for order in orders]
    scores = nested_errors(found.batches(split), [nested for made in kinds.values() for nested in made])
    by_kind = zip(kinds, np.split(scores, len(kinds)), strict=True)
    return {
        f"{name}{split}_{what}": score[:, :, column].T
        for name, score in by_kind
        for column, what in enumerate(("error", "loss"))
    }


def means(of: Measured, name: str) -> np.ndarray:
    """Mean over chunks of each size, float64 (K,)."""
    mean: np.ndarray = of.values[name].mean(1)
    return mean


def tidy(everything: Iterable[Measured]) -> Iterable[dict[str, Any]]:
    """One row a size and quantity: mean, standard deviation and the band that holds 95 % of the chunks."""
    for found in everything:
        whole = max(found.sizes)
        for name, values in found.values.items():
            for size, of_size, reason in zip(found.sizes, values, found.reasons, strict=True):
                about = {"of": found.of, "chunks": found.chunks, "size": size, "quantity": name}
                about["drawn"] = len(of_size) if size < whole else 1
                yield {**about, **_spread(of_size, reason)}


def _spread(values: np.ndarray, reason: str) -> dict[str, Any]:
    if np.isnan(values).any():
        return {"mean": None, "deviation": None, "low": None, "high": None, "reason": reason}
    low, high = np.quantile(values, [0.025, 0.975]).tolist()
    return {"mean": float(values.mean()), "deviation": deviation(values), "low": low, "high": high, "reason": ""}


def deviation(values: np.ndarray) -> float:
    """Sample standard deviation of values (R,); exactly 0 where all are the same."""
    return float(values.std(ddof=1)) if np.ptp(values) else 0.0
