"""Options of the method and the analyses; nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs
from attrs.validators import and_, deep_iterable, ge, gt, le, lt, min_len, optional

from widenet import Train, opt

fraction = and_(ge(0), lt(1))


@attrs.frozen(kw_only=True, slots=False)  # classes with slots do not go together as bases
class Layer:
    """Which layer is studied."""

    layer: str | None = opt(
        None, "Layer whose neurons are drawn, by path (fc:input is what fc is given), in place of what the read-out is given."
    )
    reduction: Literal["mean", "max", "flatten"] = opt(
        "mean", "A neuron's value over its places (pixels, tokens); flatten makes each place a neuron."
    )
    chunk_seed: int = opt(0, "Where the chunks come from, with the run's seed.", validator=ge(0))


@attrs.frozen(kw_only=True, slots=False)
class Drawing(Layer):
    """Which chunks are drawn, and what is measured of them."""

    grid: Literal["octaves", "all"] = opt("octaves", "Chunk sizes: the width halved again and again, or every size.")
    sizes: tuple[int, ...] = opt(
        (), "Chunk sizes beside the whole layer, in place of the grid.", validator=deep_iterable(ge(1))
    )
    error_repeats: int = opt(100, "Chunks of each size whose errors are measured.", validator=ge(1))
    r2_repeats: int = opt(40, "Chunks of each size whose R2 and correlation are measured.", validator=ge(1))
    r2_per_class: int = opt(0, "Test samples of each class that R2 is taken of; 0 takes all.", validator=ge(0))
    structured: tuple[Literal["largest-norm", "greedy", "kmeans"], ...] = opt(
        (), "Chunks that are chosen rather than drawn, to compare with."
    )
    controls: tuple[Literal["shuffled", "untrained", "untrained-noise", "noise"], ...] = opt(
        (), "The same measures of features without redundancy, to compare with."
    )
    ensemble: tuple[Path, ...] = opt((), "Runs whose summed logits give the error at infinite width.")
    error_infinity: float | None = opt(
        None, "Error at infinite width, where it is known; else the ensemble's, or a fitted one.", validator=optional(fraction)
    )
    r2_threshold: float = opt(0.99, "R2 from which a chunk is complete.", validator=and_(gt(0), le(1)))
    tolerances: tuple[float, ...] = opt(
        (0.005, 0.01),
        "Training error beyond the whole layer's up to which a chunk is complete; the last one counts in the figure.",
        validator=and_(min_len(1), deep_iterable(fraction)),
    )

    def __attrs_post_init__(self) -> None:
        if self.sizes and self.grid == "all":
            raise ValueError("sizes and grid all both say which chunks are drawn; give one of them")
        if self.ensemble and self.error_infinity is not None:
            raise ValueError("ensemble and error-infinity both give the error at infinite width; give one of them")
        if isinstance(self, Train):
            Train.__attrs_post_init__(self)


@attrs.frozen(kw_only=True)
class Chunks(Drawing):
    """Options of ``chunks``."""


@attrs.frozen(kw_only=True)
class Sizes(Layer):
    """Which layer, and the sizes of its chunks."""

    sizes: tuple[int, ...] = opt(
        (), "Chunk sizes beside the whole layer, in place of the width halved again and again.", validator=deep_iterable(ge(1))
    )


@attrs.frozen(kw_only=True)
class OverTraining(Sizes):
    """Options of ``chunks-over-training``."""

    draws: int = opt(20, "Chunks of each size.", validator=ge(1))


@attrs.frozen(kw_only=True)
class ChunkDimension(Sizes):
    """Options of ``chunk-dimension``."""

    draws: int = opt(5, "Chunks of each size.", validator=ge(1))
    per_class: int = opt(0, "Test samples of each class; 0 takes all.", validator=ge(0))


@attrs.frozen(kw_only=True)
class RedundantRepr(Drawing, Train):
    """Options of ``redundant-repr``: those of training, and of the chunks that follow."""

    train: bool = opt(True, "Train first; --no-train studies the network as it is.")
    loss: Literal["cross-entropy", "squared-hinge"] = opt("cross-entropy", "Loss; squared-hinge is for two classes.")
    stop_below: float = opt(0.0, "Training loss below which training ends early; 0 never.", validator=ge(0))
