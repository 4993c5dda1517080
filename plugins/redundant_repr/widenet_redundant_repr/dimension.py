"""The intrinsic dimension of what chunks of a layer represent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np

from widenet_redundant_repr.config import ChunkDimension

DISCARDED = 0.1
"""Share of the ratios, the largest, that the linear fit leaves out, as its authors do."""


@attrs.frozen
class Dimension:
    """Estimates of an intrinsic dimension: ``value`` of the linear fit, ``likelihood`` of maximum likelihood, unbiased.

    ``error`` is the standard error of the latter, likelihood / sqrt(points), which takes the points as independent. ``dropped``
    points lie on another one and were left out. Estimates are None where there is none, and ``reason`` then says why.
    """

    value: float | None = None
    likelihood: float | None = None
    error: float | None = None
    points: int = 0
    dropped: int = 0
    reason: str = ""


def two_nn(x: Any) -> Dimension:
    """Estimate the dimension of points (N, c), an array or a tensor on the CPU, from distances to two neighbours (2-NN).

    With mu = r2/r1, the distance to the second neighbour over that to the first (Facco et al., Scientific Reports 7, 2017), the
    linear fit is that of -log(1 - F(mu)) over log(mu) through the origin, without the largest tenth of the ratios; maximum
    likelihood is (n - 1) / sum(log(mu)) over all n. Both are scikit-dimension's.
    """
    from skdim.id import TwoNN

    near = _two_nearest(np.asarray(x))
    apart = near[near[:, 0] > 0]
    points, dropped = len(apart), len(near) - len(apart)
    if points < 3:
        return Dimension(points=points, dropped=dropped, reason="fewer than 3 points that lie apart")
    if (apart[:, 1] > apart[:, 0]).mean() <= DISCARDED:
        reason = "the two nearest neighbours are equally far nearly everywhere"
        return Dimension(points=points, dropped=dropped, reason=reason)
    with np.errstate(divide="ignore"):  # of the cumulated fraction 1 that a fit would need to discard
        likelihood = float(TwoNN(discard_fraction=0.0, dist=True, method="mle").fit(apart).dimension_)
    value = float(TwoNN(discard_fraction=DISCARDED, dist=True).fit(apart).dimension_)
    return Dimension(value, likelihood, likelihood / math.sqrt(points), points, dropped)


def chunk_dimensions(features: Any, sizes: Sequence[int], repeats: int, seed: int) -> dict[int, list[Dimension]]:
    """By size c the :func:`two_nn` estimates of ``repeats`` random chunks of c columns of ``features`` (N, P).

    Chunks are drawn without replacement, from ``seed`` and the size alone, so further sizes change nothing. The whole layer is
    evaluated once.
    """
    x = np.asarray(features)
    found = {}
    for size in sizes:
        generator = np.random.default_rng((seed, size))
        times = repeats if size < x.shape[1] else 1
        found[size] = [two_nn(x[:, generator.choice(x.shape[1], size, replace=False)]) for _ in range(times)]
    return found


def dimensions(run: Any, net: Any, data: Any, config: ChunkDimension) -> Iterator[dict[str, Any]]:
    """Yield a row a chunk size: the mean of the estimates over random chunks, and their standard deviation.

    Raises:
        UsageError: as the analysis ``chunks``, or a class has too few test samples.
    """
    import torch

    from widenet.capture import stream
    from widenet_redundant_repr.grid import chosen
    from widenet_redundant_repr.representation import chosen_layer, sampled

    layer, width, _ = chosen_layer(net, data, config)
    sizes = chosen(width, (*config.sizes, width) if config.sizes else "octaves")
    kept = sampled(run, data.test.labels(), config.per_class).nonzero().flatten()
    batches = stream(net, data.test.part(kept), [layer], config.reduction)
    features = torch.cat([batch.layers[layer].cpu() for batch in batches])
    for size, estimates in chunk_dimensions(features, sizes, config.draws, run.seed_for("chunks", config.chunk_seed)).items():
        values = [each.value for each in estimates if each.value is not None]
        likelihoods = [each.likelihood for each in estimates if each.likelihood is not None]
        yield {
            "size": size,
            "chunks": len(estimates),
            "dimension": float(np.mean(values)) if values else None,
            "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "likelihood": float(np.mean(likelihoods)) if likelihoods else None,
            "points": estimates[0].points,
            "reason": next((each.reason for each in estimates if each.reason), ""),
        }


def _two_nearest(x: np.ndarray) -> np.ndarray:
    """The distances of each point to its two nearest others, float64 (N, 2); (0, 2) of fewer than three points."""
    from sklearn.neighbors import NearestNeighbors

    if len(x) < 3:
        return np.empty((0, 2))
    neighbours = NearestNeighbors(n_neighbors=2).fit(x).kneighbors(return_distance=False)
    # The search computes |x|^2 + |y|^2 - 2xy, which leaves points that are equal a little apart.
    gaps = [x.astype(np.float64) - x[neighbour] for neighbour in neighbours.T]
    return np.sort(np.stack([np.sqrt(np.einsum("ij,ij->i", gap, gap)) for gap in gaps], 1), 1)
