"""What is studied of a run: a layer's outputs on both splits, and the read-out that goes with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import attrs
import torch
from torch import Tensor

from widenet.capture import Captured, ReadOut, Reduction, Wanted, capture, layers_or_readout, stream
from widenet.data import balanced
from widenet.errors import UsageError, WnError
from widenet.kernels.gram import Gram
from widenet_redundant_repr.config import Layer
from widenet_redundant_repr.readout import with_targets

ROWS = 4096
"""Samples of a capture that are read at a time."""


@attrs.frozen(eq=False)
class Representation:
    """A layer of P neurons on the training and the test samples, captured; ``head`` is None where no read-out is given it."""

    layer: str
    width: int
    reduction: Reduction
    classes: int
    """Rows of the read-out: 1 where it decides between two classes by its sign."""
    train: Captured
    test: Captured
    head: ReadOut | None

    def batches(self, split: Literal["train", "test"]) -> Iterable[tuple[Tensor, Tensor]]:
        """Features float32 (n, P) and labels (n,) of a split, block by block."""
        captured = self.train if split == "train" else self.test
        return captured.batches(self.layer, ROWS)


def represented(run: Any, net: Any, data: Any, config: Layer) -> Representation:
    """Capture the layer, or find it captured.

    Raises:
        UsageError: as :func:`chosen_layer`.
        WnError: what is kept is not what the network computes.
    """
    layer, width, head = chosen_layer(net, data, config)
    train, test = (
        capture(run, net, data, Wanted(layers=(layer,), split=split, reduction=config.reduction)) for split in ("train", "test")
    )
    if head is not None and not _reads(head, test, layer):
        if layer == head.layer:
            raise WnError(f"{test.path} does not hold what {head.path} is given; delete it, and run the same command again")
        head = None
    classes = data.classes if head is None else len(head.weight)
    return Representation(layer, width, config.reduction, classes, train, test, head)


def chosen_layer(net: Any, data: Any, config: Layer) -> tuple[str, int, ReadOut | None]:
    """The path of the layer that is meant, its neurons, and the network's read-out, which may be given another layer.

    Raises:
        UsageError: no such layer, or several; none is given and the network does not end in a read-out.
    """
    layers, head = layers_or_readout(net, data.test, [] if config.layer is None else [config.layer])
    if len(layers) > 1:
        raise UsageError(f"--layer {config.layer} matches {len(layers)} layers, {', '.join(layers[:5])}...; name one")
    first = next(stream(net, data.test, layers, config.reduction, batch_size=2)).layers[layers[0]]
    if first.ndim != 2:
        raise UsageError(f"layer {layers[0]} puts out one number a sample, not neurons; choose another --layer")
    return layers[0], first.shape[1], head


def _reads(head: ReadOut, test: Captured, layer: str) -> bool:
    """Whether the read-out makes the network's logits of this layer's outputs."""
    if test.shape(layer)[1] != head.weight.shape[1]:
        return False
    features = next(iter(test.batches(layer)))[0]
    logits = test.logits[: len(features)]
    # A GPU's matrix units compute them in TF32, of ten bits.
    return torch.allclose(head.logits(features), logits, rtol=0, atol=0.01 * float(logits.abs().max()))


def gram_of(batches: Iterable[tuple[Tensor, Tensor]], width: int, device: Any, targets: int = 0) -> Gram:
    """The Gram of features (n, P) in batches; with ``targets``, of theirs beside them, as ``with_targets`` makes them."""
    gram = Gram(width + targets, device)
    for features, labels in batches:
        gram.update(with_targets(features, labels, targets) if targets else features)
    return gram


def sampled_gram(run: Any, found: Representation, per_class: int) -> Gram:
    """The Gram of the test features, or of so many of each class.

    Raises:
        UsageError: a class has fewer.
    """
    return gram_of(sampled_batches(run, found, per_class), found.width, run.device)


def sampled_batches(run: Any, found: Representation, per_class: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Features and labels of the test samples, or of so many of each class (if not 0), block by block.

    Raises:
        UsageError: a class has fewer.
    """
    kept = sampled(run, found.test.labels, per_class)
    start = 0
    for features, classes in found.batches("test"):
        rows = kept[start : start + len(classes)]
        yield features[rows], classes[rows]
        start += len(classes)


def sampled(run: Any, labels: Tensor, per_class: int) -> Tensor:
    """Which of the samples with these labels (N,) are taken: so many of each class, or all if 0; bool (N,).

    Raises:
        UsageError: a class has fewer.
    """
    kept = torch.full((len(labels),), not per_class)
    if per_class:
        try:
            kept[balanced(labels, per_class, run.generator("chunks", "samples"))] = True
        except ValueError as error:
            raise UsageError(f"{per_class} test samples of each class are wanted, but {error}; ask for fewer") from None
    return kept
