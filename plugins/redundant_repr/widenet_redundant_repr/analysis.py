"""The study of a layer's chunks: measured, written beside the run, and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from widenet import UsageError, figures, opening
from widenet.capture import stream
from widenet.files import write_csv, write_json
from widenet.kernels.gram import Gram
from widenet_redundant_repr import controls
from widenet_redundant_repr.config import Drawing
from widenet_redundant_repr.draws import SPLITS, random_chunks, random_orders
from widenet_redundant_repr.figure import Curves, draw
from widenet_redundant_repr.grid import chosen
from widenet_redundant_repr.infinity import Infinity, error_infinity
from widenet_redundant_repr.measure import Grams, Measured, control, every_size, measured, tidy
from widenet_redundant_repr.powerlaw import PowerLaw
from widenet_redundant_repr.representation import Representation, chosen_layer, gram_of, represented, sampled, sampled_gram
from widenet_redundant_repr.structured import greedy, largest_norm, representatives
from widenet_redundant_repr.summary import errors_of, rows, said, summarise

GROUPINGS = 5
"""Chunks of each size that k-means gives, from other starts."""
NOISE_ROWS = 4096


def check(run: Any, net: Any, data: Any, config: Drawing) -> Infinity | None:
    """Refuse a study that cannot be carried out, before anything is trained or captured for it.

    Returns the error at infinite width, if it is known.

    Raises:
        UsageError: no such layer, a chunk larger than it, no read-out, too few samples, or a run of the ensemble that does
            not fit.
    """
    width = chosen_layer(net, data, config)[1]
    chosen(width, config.sizes or config.grid)
    sampled(run, data.test.labels(), config.r2_per_class)
    if {"untrained", "untrained-noise"} & set(config.controls) and (why := _trained_before(run)):
        raise UsageError(f"{run.name} {why} and has no untrained network of its own; leave that control out")
    return error_infinity(run, data, config)


def _trained_before(run: Any) -> str:
    """Why a run's network was not untrained when it began; empty where it was."""
    if run.record.get("parents"):
        return "began from another run"
    if run.option("train") is False:
        return "trains nothing"
    return "began from published weights" if run.record.get("arch", {}).get("options", {}).get("path") else ""


def study(
    run: Any, net: Any, data: Any, config: Drawing, infinity: Infinity | None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measure the chunks of a layer, given what :func:`check` returned; returns the rows of the table and the summary.

    Beside them ``run`` receives ``chunks.png`` and ``.svg``, ``chunks.csv`` (every quantity's mean, deviation and band),
    ``arrays/chunks.h5`` (every chunk's value) and ``summary.json``.
    """
    found = represented(run, net, data, config)
    # The whole layer is always among them: it is what chunks are held against.
    sizes = chosen(found.width, (*config.sizes, found.width) if config.sizes else "octaves")
    train = gram_of(found.batches("train"), found.width, run.device, targets=found.classes)
    grams = Grams(sampled_gram(run, found, config.r2_per_class), train)
    everything = [_layer(run, found, grams, sizes, config)]
    everything += [_structured(run, found, grams, sizes, kind) for kind in config.structured]
    for name in config.controls:
        chunks = random_chunks(run, found.width, sizes, config)[1]
        everything.append(control(name, _control_gram(run, data, found, name, config.r2_per_class), chunks))
    summary, law = summarise(found, grams, everything[0], infinity, config)
    _write(run, everything, summary)
    figures.save(_drawn(run, everything[0], summary, law), run, "chunks")
    for line in said(summary):
        run.say(line)
    return [row for each in everything for row in rows(each)], summary


def _layer(run: Any, found: Representation, grams: Grams, sizes: Sequence[int], config: Drawing) -> Measured:
    """The random chunks of the layer: of these sizes, or of every size."""
    if config.grid == "all":
        return every_size(found, grams, *random_orders(run, found.width, config))
    return measured(found, grams, *random_chunks(run, found.width, sizes, config), "random")


def _structured(run: Any, found: Representation, grams: Grams, sizes: Sequence[int], kind: str) -> Measured:
    """Chunks that are chosen by the training features, so that the test tells how well."""
    gram = grams.train_features
    if kind == "kmeans":
        seeds = [run.seed_for("chunks", "kmeans", number) % 2**32 for number in range(GROUPINGS)]
        chunks = {
            size: [torch.from_numpy(representatives(gram, size, seed)) for seed in (seeds if size < found.width else seeds[:1])]
            for size in sizes
        }
    else:
        order = torch.from_numpy(greedy(gram) if kind == "greedy" else largest_norm(gram))
        chunks = {size: [order[:size]] for size in sizes}
    return measured(found, grams, dict.fromkeys(SPLITS, chunks), chunks, kind)


def _control_gram(run: Any, data: Any, found: Representation, name: str, per_class: int) -> Gram:
    """The Gram of features without redundancy, as many as the layer's and of the same samples.

    Raises:
        UsageError: the run has no untrained network of its own.
    """
    generator = run.generator("chunks", "control", name)
    width, kept = found.width, sampled(run, found.test.labels, per_class).nonzero().flatten()
    count, gram = len(kept), Gram(width, run.device)
    if name == "shuffled":
        gram.update(controls.shuffled(found.test.features(found.layer)[kept], generator))
    elif name == "noise":
        for start in range(0, count, NOISE_ROWS):
            gram.update(controls.noise(min(NOISE_ROWS, count - start), width, generator))
    else:
        net = opening.untrained(run.registry, run).to(run.device)
        test = data.test.part(kept)
        split = test if name == "untrained" else controls.noise_like(test, data.shape, generator)
        for batch in stream(net, split.to(run.device), [found.layer], found.reduction):
            gram.update(batch.layers[found.layer])
    return gram


def _write(run: Any, everything: Sequence[Measured], summary: dict[str, Any]) -> None:
    arrays: dict[str, Any] = {}
    for found in everything:
        name = f"{found.of}/{found.chunks}"
        arrays[f"{name}/size"] = np.array(found.sizes)
        arrays |= {f"{name}/{quantity}": values for quantity, values in found.values.items()}
    run.save_arrays("chunks", arrays)
    write_csv(run.out / "chunks.csv", tidy(everything))
    write_json(run.out / "summary.json", summary)


def _drawn(run: Any, main: Measured, summary: dict[str, Any], law: PowerLaw | None) -> Any:
    test, train = errors_of(main)
    curves = Curves(
        sizes=main.sizes,
        test_errors=test,
        train_errors=train,
        r2=main.values["r2"],
        correlation=main.values["correlation"],
        correlation_out=main.values["correlation_out"],
        floor=summary["sampling_floor"],
        error_infinity=summary["error_infinity"],
        critical=summary["critical_width"],
        title=f"{run.name}, {summary['layer']}: {summary['width']} neurons",
    )
    return draw(curves, law)
