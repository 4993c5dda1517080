"""Analysis ``selectivity``: how selective each layer's units are for classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from widenet import figures
from widenet.capture import Captured
from widenet.errors import UsageError
from widenet_decompose import figure
from widenet_decompose.config import Selectivity
from widenet_decompose.features import ROWS, kept, studied_layers, units_of
from widenet_decompose.measures import class_entropy, psi, selectivity_index
from widenet_decompose.tally import Tally, needed


def selectivity(run: Any, net: Any, data: Any, config: Selectivity) -> Iterator[dict[str, Any]]:
    """Yield a row a layer: selectivity index (a mean over units, dead ones being 0), psi (over classes), entropy (live units).

    What they mean of negative responses nobody says: such a layer has the index alone where no class mean is negative.

    Raises:
        UsageError: no such layer, or a class without samples.
    """
    layers = config.layer or [*rectified(net), *_read(net, data)]
    layers, _ = studied_layers(net, data, layers)
    units = units_of(run, net, data, layers, config.split)
    captured = kept(run, net, data, layers, config.split)
    rows: list[dict[str, Any]] = []
    arrays: dict[str, Tensor] = {}
    for layer in units:
        row, measured = _measured(captured, layer, data.classes, config.fraction)
        rows.append(row)
        arrays |= {f"{layer}/{name}": values for name, values in measured.items()}
    run.save_arrays("selectivity", arrays)
    figures.save(figure.selectivity(rows, f"{run.name}, {len(rows)} layers in the order of the network"), run, "selectivity")
    yield from rows


def rectified(net: nn.Module) -> list[str]:
    """Paths of the network's ReLUs."""
    return [path for path, module in net.named_modules() if isinstance(module, nn.ReLU) and path]


def _read(net: Any, data: Any) -> Sequence[str]:
    """What the read-out is given, if there is one."""
    try:
        return studied_layers(net, data, [])[0]
    except UsageError:
        return []


def _measured(captured: Captured, layer: str, classes: int, fraction: float) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The row of a layer, and its index and entropy by unit (F,) and psi by class (C,)."""
    units = captured.shape(layer)[1]
    tally, counts = Tally(classes, units), []
    for features, labels in captured.batches(layer, ROWS):
        tally.update(features, labels)
        counts.append(needed(features, fraction))
    if (tally.size == 0).any():
        raise UsageError(f"class {int((tally.size == 0).nonzero()[0])} has no sample, so selectivity has no meaning; take more")
    live = tally.means.abs().sum(0) > 0
    row: dict[str, Any] = {"layer": layer, "units": units, "dead": int((~live).sum())}
    index = selectivity_index(tally.means)
    positive = bool((tally.means >= 0).all())
    row["selectivity"] = float(index.mean()) if positive else None
    if not positive or tally.lowest < 0:
        return {**row, "psi": None, "psi_mean": None, "entropy": None}, {"selectivity": index}
    entropy, labels = class_entropy(tally.means), captured.labels
    medians, means = zip(*(psi(torch.cat(counts)[labels == label], units) for label in range(classes)), strict=True)
    row |= {
        "psi": sum(medians) / classes,
        "psi_mean": sum(means) / classes,
        "entropy": float(entropy[live].mean()) if live.any() else None,
    }
    return row, {"selectivity": index, "entropy": entropy, "psi": torch.tensor(medians)}
