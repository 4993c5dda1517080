"""Analysis ``class-filters``: the units that each class needs, of any layer, by any score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from widenet import figures
from widenet.capture import Captured
from widenet_decompose import figure
from widenet_decompose.config import ClassFilters
from widenet_decompose.features import ROWS, gates_of, kept, studied_layers, units_of
from widenet_decompose.filters import Filters, write_filters
from widenet_decompose.finding import Found, Source, dead, find
from widenet_decompose.information import overlap
from widenet_decompose.tally import Tally, shares


def class_filters(run: Any, net: Any, data: Any, config: ClassFilters) -> Iterator[dict[str, Any]]:
    """Yield a row a layer, score and size; masks, lists, scores and a figure a layer are kept beside them.

    Raises:
        UsageError: no such layer, a size beyond it, a score without what it needs, a class without samples.
    """
    layers, head = studied_layers(net, data, config.layer)
    sources = {}
    for layer, units in units_of(run, net, data, layers, config.split).items():
        weight = head.weight if head is not None and layer == head.layer else None
        gates = gates_of(run, data.classes, units) if weight is not None else None
        sources[layer] = Source(run, layer, data.classes, units, None, weight, gates)
        sources[layer].check(config.score, _sizes(config, units))  # before a long capture
    captured = kept(run, net, data, layers, config.split)
    masks: dict[str, dict[str, Tensor]] = {}
    arrays: dict[str, Tensor] = {}
    for layer, unread in sources.items():
        source = attrs.evolve(unread, captured=captured)
        units = source.units
        found = find(source, config.score, _sizes(config, units), config.mass)
        tally = found.tally or source.tally([])
        if remark := dead(tally, layer):
            run.say(remark)
        arrays |= {f"{layer}/mean": tally.means, f"{layer}/share": tally.mean_shares}
        for (score, size), filters in found.filters.items():
            masks.setdefault(f"{score}-{size.rstrip('%')}", {})[layer] = filters.mask
            write_filters(_list(run.out, layer, score, size), filters)
            yield {"layer": layer, "units": units, "score": score, "k": size, **_described(filters, tally)}
        _draw(run, layer, captured, found, tally)
    for tag, of_layers in masks.items():
        run.save_masks(tag, of_layers)
    run.save_arrays("class-filters", arrays)


def _sizes(config: ClassFilters, units: int) -> list[int]:
    return [] if config.mass else config.sizes(units)


def _list(folder: Path, layer: str, score: str, size: str) -> Path:
    """The file of a list; a path with a colon is no name on every system."""
    return folder / "filters" / f"{layer.replace(':', '-')}-{score}-{size.rstrip('%')}.json"


def _described(filters: Filters, tally: Tally) -> dict[str, Any]:
    """Sizes, mass and overlap of the sets."""
    return {"smallest": filters.smallest, "largest": filters.size, "mass": _mass(filters, tally), **overlap(filters.mask)}


def _mass(filters: Filters, tally: Tally) -> float | None:
    """The part of the response that a class's own set holds, a mean over samples; None of negative responses."""
    mask = filters.mask.to(tally.size.device)
    held = (tally.mean_shares.nan_to_num() * mask * tally.size[:, None]).sum() / tally.size.sum()
    return None if tally.lowest < 0 else float(held)


def top_mass(batches: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Part of a sample's response that its own k largest units hold, for k = 1 to F, a mean over samples: float64 (F,)."""
    held, count = torch.zeros(()), 0
    for features, labels in batches:
        held = held + shares(features).sort(dim=1, descending=True).values.sum(0)
        count += len(labels)
    return held.cumsum(0) / count


def _class_mass(filters: Sequence[Filters], tally: Tally) -> list[tuple[int, float]]:
    """Size and held mass of sets."""
    return [(each.size, _mass(each, tally) or 0.0) for each in filters]


def _draw(run: Any, layer: str, captured: Captured, found: Found, tally: Tally) -> None:
    """Draw a layer's sets; what is said of mass has no meaning where responses are negative."""
    scores = list(dict.fromkeys(score for score, _ in found.filters))
    if tally.lowest < 0:
        run.say(f"{layer} has negative responses, so it has no mass to draw; layers that end in a ReLU have")
        top, held = [], {}
    else:
        top = top_mass(captured.batches(layer, ROWS)).tolist()
        held = {score: _class_mass([f for (name, _), f in found.filters.items() if name == score], tally) for score in scores}
    shown = next(reversed([f for (name, _), f in found.filters.items() if name == scores[0]]))
    title = f"{run.name}, {layer}: {len(tally.highest)} units"
    figures.save(figure.class_filters(top, held, shown, scores[0], title), run, f"class-filters-{layer.replace(':', '-')}")
