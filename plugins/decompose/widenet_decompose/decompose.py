"""Method ``decompose``: a final layer in which each class sees only its own units, measured and, on request, trained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import nn

from widenet import figures
from widenet.capture import Captured, ReadOut
from widenet.data import Data, Images
from widenet.files import write_csv
from widenet.masks import Fixed, attach, masks
from widenet.train import fit
from widenet_decompose import figure
from widenet_decompose.accuracy import Measured, measure
from widenet_decompose.choice import Choice, chosen, usual
from widenet_decompose.config import USUAL, Decompose
from widenet_decompose.features import ROWS, class_readout, gates_of, kept
from widenet_decompose.filters import Filters, write_filters
from widenet_decompose.layer import accuracy_by_k

SAID = 12
"""Sizes up to which each has a line of its own."""
Table = dict[tuple[str, str], Measured]


def carry_out(run: Any, net: Any, data: Any, config: Decompose) -> dict[str, Any]:
    """Find the filters, measure read-outs of these alone, mask the network's own down to them, and train it if asked to.

    The run receives ``decompose.csv`` (a row a score and size), ``classes.csv`` (by class), ``filters.json`` (what the network
    was given) and a figure.

    Raises:
        UsageError: the network has no read-out, or the units asked for cannot be found.
    """
    head = class_readout(net, data)
    gated = gates_of(run, *head.weight.shape) is not None
    choice = chosen(run, net, data, head, config, config.score or usual(gated, config.indices is not None))
    test = kept(run, net, data, [head.layer], "test")
    table = measure(
        test.batches(head.layer, ROWS),
        head.weight,
        head.bias,
        {key: filters.mask for key, filters in choice.filters.items() if key[0] != "random"},
        run.device,
    )
    full = table.pop(None)
    random = _random(choice, test, head, config.draws) if "random" in choice.scores else {}
    _write(run, choice, full, table, random, head)
    built = _built(choice, config)
    write_filters(run.out / "filters.json", built)
    found = {
        "layer": head.layer,
        "units": head.weight.shape[1],
        "k": built.size,
        "full_accuracy": full.accuracy,
        **_accuracies(choice.scores[0], built.size, table, random),
    }
    old = masks(net).get(head.path)
    mask = built.mask if old is None else built.mask & old.cpu()
    attach(net, lambda path, _: Fixed(mask) if path == head.path else None)
    if config.finetune == "none":
        return found | {"test_accuracy": found["decomposed_accuracy"]}
    _finetune(run, net, data, config, head)
    return found


def _built(choice: Choice, config: Decompose) -> Filters:
    """The filters that the network is given: by the first score, of the first size named."""
    first = choice.scores[0]
    sizes = [int(size) for score, size in choice.filters if score == first]
    named = [int(part) for part in config.k if part != "all"]
    k = named[0] if named else USUAL[0] if USUAL[0] in sizes else sizes[0]
    return choice.filters[first, str(k)]


def _random(choice: Choice, test: Captured, head: ReadOut, draws: int) -> dict[str, np.ndarray]:
    """Accuracy of random sets of each size, (draws,); those of one draw are nested."""
    features, labels = test.features(head.layer), test.labels
    sizes = [int(size) for score, size in choice.filters if score == "random"]
    curves = [
        accuracy_by_k(features, labels, head.weight, head.bias, choice.source.random(draw)[:, : max(sizes)])
        for draw in range(draws)
    ]
    return {str(k): np.array([float(curve[k - 1]) for curve in curves]) for k in sizes}


def _accuracies(first: str, k: int, table: Table, random: dict[str, np.ndarray]) -> dict[str, float]:
    """What the decomposed layer and the other scores at its size get right."""
    own = {score: found.accuracy for (score, size), found in table.items() if size == str(k)}
    own |= {"random": float(random[str(k)].mean())} if random else {}
    return {"decomposed_accuracy": own.pop(first), **{f"{score.replace('-', '_')}_accuracy": own[score] for score in own}}


def _write(run: Any, choice: Choice, full: Measured, table: Table, random: dict[str, np.ndarray], head: ReadOut) -> None:
    rows: list[dict[str, Any]] = [
        {"score": score, "k": size, "accuracy": found.accuracy, "deviation": None, "agreement": found.agreement}
        for (score, size), found in table.items()
    ]
    rows += [
        {"score": "random", "k": size, "accuracy": float(values.mean()), "deviation": _deviation(values), "agreement": None}
        for size, values in random.items()
    ]
    whole: dict[str, Any] = {
        "score": "full",
        "k": str(head.weight.shape[1]),
        "accuracy": full.accuracy,
        "deviation": None,
        "agreement": 1.0,
    }
    write_csv(run.out / "decompose.csv", [whole, *rows])
    measured = {("full", str(whole["k"])): full, **table}
    by_class = [row for (score, size), found in measured.items() for row in _by_class(score, size, found)]
    write_csv(run.out / "classes.csv", by_class)
    points = {
        score: [(int(row["k"]), row["accuracy"], row["deviation"] or 0.0) for row in rows if row["score"] == score]
        for score in dict.fromkeys(row["score"] for row in rows)
    }
    drawn = figure.accuracy_by_k(full.accuracy, points, head.weight.shape[1], f"{run.name}, {head.layer}")
    figures.save(drawn, run, "accuracy-by-k")
    for size in dict.fromkeys(row["k"] for row in rows) if len(choice.filters) <= SAID * len(choice.scores) else ():
        here = ", ".join(f"{row['score']} {row['accuracy']:.2%}" for row in rows if row["k"] == size)
        run.say(f"{size} of {head.weight.shape[1]} units a class: {here} of {full.accuracy:.2%}")


def _by_class(score: str, size: str, found: Measured) -> Iterator[dict[str, Any]]:
    for number, (samples, right) in enumerate(zip(found.samples.tolist(), found.right.tolist(), strict=True)):
        yield {
            "score": score,
            "k": size,
            "class": number,
            "samples": samples,
            "right": right,
            "accuracy": right / max(1, samples),
        }


def _deviation(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def _finetune(run: Any, net: nn.Module, data: Any, config: Decompose, head: ReadOut) -> None:
    """Train the masked read-out alone on features computed once, or, as the original does, every parameter."""
    if config.finetune == "all":
        net.requires_grad_(True)
        for _ in fit(run, net, data, config):
            pass
        return
    parts = {split: kept(run, net, data, [head.layer], split) for split in ("train", "test", "val") if getattr(data, split)}
    images = {split: Images(part.features(head.layer), part.labels) for split, part in parts.items()}
    features = Data("features", images["train"], images["test"], (head.weight.shape[1],), data.classes, images.get("val"))
    with _from_features(net, head.path):
        for _ in fit(run, net, features, config):
            pass


@contextlib.contextmanager
def _from_features(net: nn.Module, path: str) -> Iterator[None]:
    """For a block the network takes what its read-out is given, and nothing but the read-out trains.

    It stays the same module, so that what is saved on the way has the architecture's own names.
    """
    readout = net.get_submodule(path)
    before = {name: parameter.requires_grad for name, parameter in net.named_parameters()}
    net.requires_grad_(False)
    readout.requires_grad_(True)
    net.forward = readout.forward
    try:
        yield
    finally:
        del net.forward
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(before[name])
