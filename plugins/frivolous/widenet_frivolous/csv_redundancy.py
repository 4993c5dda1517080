"""The original's table of redundancy, from a run's kept analyses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from widenet.errors import WnError
from widenet_frivolous.gathering import LOGITS
from widenet_frivolous.kept_analyses import Kept, kept_analyses
from widenet_frivolous.redundancy import compressibility, not_selective, preferred, published_similarity, redundant, selectivity

COLUMNS = (
    *("model_name", "evaluation_set", "cross_validation", "layer", "preserved_energy", "training_dropout"),
    *("training_weight_decay", "training_data_augmentation", "training_amount_data", "random_labels", "scramble_image"),
    *("init_type", "init_factor", "random_seed", "multiplier_layer", "num_neurons_layer0", "num_neurons_layerall"),
    *("num_components", "compressability_95", "selectivity_mean", "selectivity_std", "selectivity_gen_mean"),
    *("selectivity_gen_std", "not_selective", "similarity_ave", "similarity_std", "performance"),
)
"""In the order of the original; ``num_neurons_layer0`` is of the first layer, the next of all, logits included."""
ENERGIES = (0.95, 0.8)
SETS = ("train", "test")
SIMILAR = 0.5
"""Absolute correlation from which on the original counts units as similar."""

Row = dict[str, Any]
Arrays = Mapping[str, Tensor]
Layers = Mapping[str, Arrays]


def rows(run: Any) -> Iterator[Row]:
    """Rows of every draw of which analyses of both the training and the test samples are kept, as the original's crosses.

    Raises:
        WnError: there is none.
    """
    found = _by_draw(run)
    if not found:
        raise WnError(
            f"{run.name} has no redundancy analyses of both train and test samples with threshold {SIMILAR}; make them first: "
            f"wn analyze redundancy {run.path} --split train, and the same with --split test"
        )
    for draw, (train, test) in sorted(found.items()):
        similar = (_similar(train), _similar(test))
        yield from _rows({"cross_validation": draw}, _layers(train), _layers(test), similar)


def _by_draw(run: Any) -> dict[int, tuple[Kept, Kept]]:
    """By number of the draw the newest analyses of both splits, as the original makes them: rows are positions."""
    found: dict[str, dict[int, Kept]] = {name: {} for name in SETS}
    for kept in kept_analyses(run, "redundancy"):
        options = kept.options
        if options["split"] in SETS and not options["pool"] and not options["layer"] and SIMILAR in options["thresholds"]:
            found[options["split"]].setdefault(options["draw"], kept)
    return {draw: (found["train"][draw], found["test"][draw]) for draw in found["train"].keys() & found["test"].keys()}


def _layers(kept: Kept) -> Layers:
    """The arrays of an analysis by layer, in the network's order, the logits last."""
    layers: dict[str, dict[str, Tensor]] = {name: {} for name in (*(row["layer"] for row in kept.rows), LOGITS)}
    for path, array in kept.arrays("redundancy").items():
        layer, _, name = path.rpartition("/")
        layers[layer][name] = torch.from_numpy(np.asarray(array))
    return layers


def _similar(kept: Kept) -> int:
    """Which row of similar-unit counts is that of the original's threshold."""
    return list(kept.options["thresholds"]).index(SIMILAR)


def _rows(head: Row, train: Layers, test: Layers, similar: tuple[int, int]) -> Iterator[Row]:
    hidden = [layer for layer in test if layer != LOGITS]
    units = [len(test[layer]["eigenvalues"]) for layer in test]
    head |= {"num_neurons_layer0": units[0], "num_neurons_layerall": sum(units)}
    for number, (name, arrays) in enumerate(zip(SETS, (train, test), strict=True)):
        measured = [_measures(train[layer], test[layer], number, similar[number]) for layer in hidden]
        overall = {column: float(np.mean([row[column] for row in measured])) for column in measured[0]}
        performance = {"evaluation_set": name, "performance": float(arrays[LOGITS]["accuracy"])}
        for energy in ENERGIES:
            needed = [_components(arrays[layer]["eigenvalues"], energy) for layer in arrays]
            common = {**head, **performance, "preserved_energy": energy}
            for place, row in enumerate(measured):
                yield {**common, "layer": place, "num_components": needed[place], **row}
            yield {**common, "layer": "all", "num_components": sum(needed), **overall}


def _measures(train: Arrays, test: Arrays, number: int, similar: int) -> Row:
    """Measurements of a layer on one split; selectivity is of the classes that units prefer among the training samples."""
    classes = preferred(train["class_means"], train["class_rows"])
    both = [selectivity(each["class_means"], each["class_rows"], classes).nan_to_num(0.0) for each in (train, test)]
    own, gap = both[number], (both[0] - both[1]).square()
    arrays = (train, test)[number]
    mean, deviation = published_similarity(arrays["similar"][similar])
    return {
        "compressability_95": compressibility(arrays["eigenvalues"]),
        "selectivity_mean": float(own.mean()),
        "selectivity_std": float(own.std(correction=0)),
        "selectivity_gen_mean": float(gap.mean()),
        "selectivity_gen_std": float(gap.std(correction=0)),
        "not_selective": not_selective(own),
        "similarity_ave": mean,
        "similarity_std": deviation,
    }


def _components(eigenvalues: Tensor, energy: float) -> int:
    return round(len(eigenvalues) * (1 - redundant(eigenvalues, energy)))
