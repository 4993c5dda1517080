"""Options of what reads redundancy and width; nothing heavy is imported here."""

from __future__ import annotations

from typing import Any, Literal

import attrs
from attrs.validators import and_, deep_iterable, ge, gt, le, lt, max_len, min_len, optional

from widenet import opt

Split = Literal["train", "test", "val"]
FRACTIONS: Any = deep_iterable(and_(gt(0), lt(1)), min_len(1))


@attrs.frozen(kw_only=True)
class Redundancy:
    """Options of ``wn analyze redundancy``."""

    layer: tuple[str, ...] = opt((), "Patterns of layers; none given takes every activation module but that of the logits.")
    split: Split = opt("test", "Samples that units are compared on.")
    thresholds: tuple[float, ...] = opt(
        (0.5, 0.9), "Units are similar from this absolute correlation on.", validator=deep_iterable(and_(gt(0), le(1)))
    )
    energies: tuple[float, ...] = opt(
        (0.95, 0.8), "Shares of the variance that components are counted for.", validator=FRACTIONS
    )
    pool: bool = opt(False, "Average a channel over its positions; else every position is a sample.")
    rows: int = opt(50_000, "Random rows of a layer that are kept, an equal share of each batch.", validator=ge(2))
    draw: int = opt(0, "Which random rows: another number draws others.", validator=ge(0))
    batch_size: int = opt(128, "Images of a batch.", validator=ge(1))
    ridge: float = opt(1e-6, "Added to the correlation matrix before units are predicted.", validator=gt(0))


@attrs.frozen(kw_only=True)
class Similarity:
    """Options of ``wn analyze similarity``."""

    layer: tuple[str, ...] = opt((), "Patterns of layers in every run; none given takes every activation module.")
    split: Split = opt("test", "Samples of the first run's data that are shown to every network.")
    samples: int = opt(2_000, "Samples at most, the first of the split.", validator=ge(2))
    reduction: Literal["mean", "max", "flatten"] = opt("mean", "How a channel's positions become units of a sample.")
    pairs: Literal["all", "same"] = opt("all", "Every layer with every other, or only those of the same path.")
    variance: float = opt(0.99, "Share of the variance that SVCCA keeps of each layer.", validator=and_(gt(0), le(1)))


@attrs.frozen(kw_only=True)
class Width:
    """Options of ``wn analyze width``."""

    largest: float | None = opt(
        None, "Width factor f_max that is 1; the largest of the runs if none.", validator=optional(gt(0))
    )
    factor: str = opt("width", "Option of the architecture that is the width factor.")
    by: tuple[str, ...] = opt((), "Options of architecture or method whose values are curves of their own, as init.")
    layer: tuple[str, ...] = opt((), "Patterns of layers that prunability and redundancy are studied in.")
    split: Split = opt("test", "Samples that are studied.")
    at: float = opt(0.8, "Agreement at which units count as prunable no longer.", validator=and_(gt(0), lt(1)))
    draws: int = opt(3, "Random orders of ablation.", validator=ge(1))
    adaptive: bool = opt(True, "Search each threshold to one unit; else it is read from the study's seven levels.")
    orders: Literal["mean", "max"] = opt("mean", "Threshold over the orders: their mean, or the best as the study has it.")
    energy: float = opt(0.95, "Share of the variance that redundancy leaves out of account.", validator=and_(gt(0), lt(1)))
    pca: Literal["covariance", "correlation"] = opt("covariance", "Matrix whose components are counted.")
    pool: bool = opt(False, "Average a channel over its positions; else every position is a sample.")
    per_layer: bool = opt(False, "Rows for each layer, beside those of all layers.")
    skip_first: tuple[Literal["prunability", "redundancy"], ...] = opt(
        ("redundancy",), "Quantities whose growth leaves out the first step, as the study does.", validator=max_len(2)
    )
    growth: bool = opt(True, "Tell growth; else widths need not double, and one is enough.")
    resamples: int = opt(1_000, "Bootstrap samples of runs behind an interval.", validator=ge(1))


@attrs.frozen(kw_only=True)
class StudyCsv:
    """Options of ``wn export RUN --what frivolous-csv``."""

    table: Literal["redundancy", "robustness"] = opt(help="Which of the study's two tables.")
