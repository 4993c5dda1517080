"""Chunks of a layer over the epochs whose weights a run saved."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from widenet import UsageError, figures, opening
from widenet.capture import stream
from widenet_redundant_repr.chunks import undefined
from widenet_redundant_repr.config import OverTraining
from widenet_redundant_repr.draws import SPLITS, drawn
from widenet_redundant_repr.grid import chosen
from widenet_redundant_repr.measure import statistics
from widenet_redundant_repr.readout import Sliced, chunk_errors
from widenet_redundant_repr.representation import chosen_layer, gram_of

TAG = re.compile(r"epoch-(\d+)")
LABELS = {
    "test_error": "test error (fraction)",
    "train_error": "training error (fraction)",
    "r2": "R² of the layer",
    "correlation_out": "|correlation| outside the chunk",
}
"""Columns that are drawn."""


def over_training(run: Any, net: Any, data: Any, config: OverTraining) -> Iterator[dict[str, Any]]:
    """Yield a row an epoch and chunk size, means over chunks with their deviations (n - 1); ``over-training`` is the figure.

    Chunks are the same in every epoch. Nothing is kept on disk; the test features of an epoch are held in memory.

    Raises:
        UsageError: the run saved no weights on the way, or as the analysis ``chunks``.
    """
    epochs = saved_epochs(run)
    rows = []
    for epoch, tag in epochs:
        for row in _of_epoch(run, opening.network(run.registry, run, tag).to(run.device), data, config):
            rows.append({"epoch": epoch, **row})
            yield rows[-1]
    figures.save(_drawn(run, rows), run, "over-training")


def saved_epochs(run: Any) -> list[tuple[int, str]]:
    """The epochs whose weights are there, ascending, with their tags; 0 is before training.

    Raises:
        UsageError: there are none but the last.
    """
    tags = [path.stem for path in (run.path / "weights").glob("*.pt")]
    found = {int(match[1]): tag for tag in tags if (match := TAG.fullmatch(tag))}
    if "init" in tags:
        found[0] = "init"
    if not found and not run.metrics():
        raise UsageError(f"{run.name} has no weights but the last: {run.record['component']} does not train")
    if not found:
        raise UsageError(f"{run.name} saved no weights on the way; train it with --save-every 1, or --save-at 1,2,5,10")
    last = max((line["epoch"] for line in run.metrics() if "epoch" in line), default=0)
    return sorted({last: "final", **found}.items())


def _of_epoch(run: Any, net: Any, data: Any, config: OverTraining) -> Iterator[dict[str, Any]]:
    layer, width, head = chosen_layer(net, data, config)

    def batches(split: str) -> Iterator[Any]:
        for batch in stream(net, getattr(data, split), [layer], config.reduction):
            yield batch.layers[layer], batch.labels

    features = list(batches("test"))
    sizes = chosen(width, (*config.sizes, width) if config.sizes else "octaves")  # the whole layer tells when training is done
    chunks = drawn(width, sizes, config.draws, run.generator("chunks", config.chunk_seed, "over training"))
    gram = gram_of(features, width, run.device)
    tables: dict[str, Sequence[np.ndarray]] = {name: list(table) for name, table in statistics(gram, chunks).items()}
    if head is not None and layer == head.layer:
        flat = [index for of_size in chunks.values() for index in of_size]
        ends = np.cumsum([len(of_size) for of_size in chunks.values()])[:-1]
        for split in SPLITS:
            scores = chunk_errors(features if split == "test" else batches(split), flat, {"": Sliced(head.weight, head.bias)})
            tables[f"{split}_error"] = [part[:, 0] for part in np.split(scores[""], ends)]
    for k, (size, of_size) in enumerate(chunks.items()):
        row = {name: _defined(table[k].mean()) for name, table in tables.items()}
        # Of a single chunk, which the tables repeat, there is no deviation.
        row |= {f"{name}_deviation": _defined(t[k].std(ddof=1)) if len(of_size) > 1 else None for name, t in tables.items()}
        yield {"size": size, **row, "reason": undefined(gram, size)}


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def interpolated(rows: list[dict[str, Any]]) -> int | None:
    """The first of the epochs at which the whole layer makes no training error; None where it always does."""
    width = max(row["size"] for row in rows)
    return min((row["epoch"] for row in rows if row["size"] == width and row.get("train_error") == 0), default=None)


def _drawn(run: Any, rows: list[dict[str, Any]]) -> Any:
    """Test error, training error, R2 and residual correlation over the epochs, a line a chunk size."""
    from matplotlib.ticker import MaxNLocator

    panels = [name for name in LABELS if name in rows[0]]
    figure, axes = figures.new(columns=2, rows=(len(panels) + 1) // 2)
    sizes = sorted({row["size"] for row in rows})
    first = interpolated(rows)
    with figures.style():
        for name, panel in zip(panels, axes, strict=False):
            for size in sizes:
                there = [row for row in rows if row["size"] == size and row[name] is not None]
                epochs, means, deviations = ([row[key] for row in there] for key in ("epoch", name, f"{name}_deviation"))
                figures.spread(panel, epochs, means, deviations, f"{size}")
            panel.set(xlabel="epoch", ylabel=LABELS[name])
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            if first is not None:
                panel.axvline(first, color="0.3", linewidth=0.8, linestyle=":")
        for panel in axes[len(panels) :]:
            panel.set_visible(False)
        said = "" if first is None else f"; dotted: the first epoch without training error, {first}"
        figure.suptitle(f"{run.name}\nlines and bands: means and standard deviations over chunks{said}", fontsize=8)
        figures.legend(axes[0], "neurons of a chunk")
    return figure
