"""One pass over the data for all that the redundancy of layers needs: Grams, class sums and rows of their outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from widenet.capture import stream
from widenet.errors import WnError
from widenet.kernels.gram import Gram
from widenet_frivolous.options import Redundancy

LOGITS = ":logits"
"""What the network's logits go by beside its layers: no path of a module."""


class Gathered:
    """Rows of a layer of N units: their Gram, their sums by class, and the rows themselves.

    Args:
        units: N.
        classes: C.
    """

    def __init__(self, units: int, classes: int) -> None:
        self.gram = Gram(units)
        self.sizes = torch.zeros(classes, dtype=torch.int64)
        """Rows of each class, (C,)."""
        self.right = 0
        """Samples whose class is that of the largest unit: of the logits, those that are right."""
        self._sums = torch.zeros(classes, units, dtype=torch.float64)
        self._rows: list[Tensor] = []

    def update(self, rows: Tensor, labels: Tensor) -> None:
        """Take in rows float32 (n, N) and the class of each, int64 (n,).

        Raises:
            ValueError: a value is not finite.
        """
        self.gram.update(rows)
        self.sizes += labels.bincount(minlength=len(self.sizes))
        self._sums.index_add_(0, labels, rows.double())
        self._rows.append(rows)

    @property
    def means(self) -> Tensor:
        """Mean of each unit in each class, float64 (C, N); 0 for a class without rows."""
        return self._sums / self.sizes.clamp(min=1)[:, None]

    @property
    def rows(self) -> Tensor:
        """All rows, float32 (M, N)."""
        if len(self._rows) > 1:
            self._rows = [torch.cat(self._rows)]
        return self._rows[0]


def gather(run: Any, net: nn.Module, data: Any, layers: Sequence[str], config: Redundancy) -> dict[str, Gathered]:
    """What one pass finds of each layer, and of the logits under the name LOGITS.

    Positions of a convolution are rows; of the rows of each batch at most ``config.rows`` over the number of batches are
    kept, drawn at random by the run's seed, the layer and ``config.draw`` (original code).

    Raises:
        UsageError: a layer puts out nothing.
        WnError: a layer's outputs are not finite.
    """
    split = getattr(data, config.split)
    batches = -(-len(split) // config.batch_size)
    most = max(1, config.rows // batches)
    tokens = not any(isinstance(module, nn.Conv1d) for module in net.modules())
    generators = {layer: run.generator("redundancy", config.split, config.draw, layer) for layer in (*layers, LOGITS)}
    found: dict[str, Gathered] = {}
    seen = 0
    for batch in stream(net, split, layers, "mean" if config.pool else "none", config.batch_size):
        outputs: Mapping[str, Tensor] = {**batch.layers, LOGITS: batch.logits}
        for layer, output in outputs.items():
            rows, images = sampled_rows(output, most, generators[layer], tokens)
            if layer not in found:
                found[layer] = Gathered(rows.shape[1], data.classes)
            try:
                found[layer].update(rows, batch.labels[images])
            except ValueError as error:
                raise WnError(f"layer {layer} of {run.name}: {error}; nothing can be said of its units") from error
        found[LOGITS].right += int((batch.logits.argmax(1) == batch.labels).sum())
        seen += len(batch.labels)
        run.reporter.work(f"reading {config.split}", seen, len(split))
    return found


def sampled_rows(output: Tensor, most: int, generator: torch.Generator, tokens: bool = True) -> tuple[Tensor, Tensor]:
    """At most ``most`` random rows (k, N) of a module's output, and the image int64 (k,) of each; in order.

    Args:
        output: (n, N), or (n, N, ...) with positions, each of which is a row.
        most: rows that are kept.
        generator: drawn from only where there are more.
        tokens: whether an output of three axes is (n, tokens, N).
    """
    units_first = output.movedim(-1, 1) if tokens and output.ndim == 3 else output
    places = units_first.reshape(len(output), units_first.shape[1] if output.ndim > 1 else 1, -1)
    count = len(output) * places.shape[2]
    all_of_them = count <= most
    index = torch.arange(count) if all_of_them else torch.randperm(count, generator=generator)[:most].sort().values
    images = index // places.shape[2]
    return places[images, :, index % places.shape[2]], images
