"""Chunks that are chosen rather than drawn, from the Gram matrix of the layer, without another pass over its samples.

Against random chunks they tell whether neurons group into clones, or any subset is as good.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.linalg import lapack
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from widenet.kernels.gram import Gram

EXHAUSTED = 1e-12
"""Share of the largest scatter below which what is left of every neuron is rounding."""
STARTS = 4
"""Initialisations of k-means, of which the best is kept."""


def largest_norm(gram: Gram) -> np.ndarray:
    """All P neurons, int64 (P,), by the norm of their centred activations, largest first; equal ones in their own order."""
    order: np.ndarray = np.argsort(-_scatter(gram).diagonal(), kind="stable")
    return order


def greedy(gram: Gram) -> np.ndarray:
    """All P neurons, int64 (P,), each the one of which those before it explain the least scatter (pivoted Cholesky).

    The first c are the greedy chunk of every size c. Neurons that those before them explain fully follow by their norm.
    """
    scatter = _scatter(gram)
    _, pivots, rank, _ = lapack.dpstrf(scatter.T, tol=EXHAUSTED * scatter.diagonal().max(), lower=1)
    first = pivots[:rank].astype(np.int64) - 1
    return np.concatenate([first, _without(largest_norm(gram), first)])


def kmeans_groups(gram: Gram, k: int, seed: int) -> list[np.ndarray]:
    """Group the P neurons by k-means on their standardised activations: at most k int64 index arrays, none of them empty.

    Fewer than k come back where fewer neurons differ.

    Raises:
        ValueError: k is not between 1 and P.
    """
    labels = _clustered(gram, k, seed)[0]
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def representatives(gram: Gram, c: int, seed: int) -> np.ndarray:
    """One neuron of each of c groups, the one nearest to the group's mean: int64 (c,), ascending.

    Where fewer than c neurons differ, those of the largest norm fill up the chunk.

    Raises:
        ValueError: c is not between 1 and P.
    """
    labels, distances = _clustered(gram, c, seed)
    by_distance = np.argsort(distances, kind="stable")
    nearest = by_distance[np.unique(labels[by_distance], return_index=True)[1]]
    return np.sort(np.concatenate([nearest, _without(largest_norm(gram), nearest)[: c - len(nearest)]]))


def _clustered(gram: Gram, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The group of each neuron and its distance from the group's mean, both (P,)."""
    coordinates = _coordinates(gram)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct neurons than groups
        fitted = KMeans(k, n_init=STARTS, random_state=seed).fit(coordinates)
    return fitted.labels_, np.linalg.norm(coordinates - fitted.cluster_centers_[fitted.labels_], axis=1)


def _coordinates(gram: Gram) -> np.ndarray:
    """Points (P, rank) as far apart as the neurons' activations, each scaled to norm 1 or constant; float64."""
    scatter = _scatter(gram)
    norms = np.sqrt(scatter.diagonal())
    scale = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
    values, vectors = np.linalg.eigh(scatter * np.outer(scale, scale))
    kept = values > EXHAUSTED * len(values)
    return vectors[:, kept] * np.sqrt(values[kept]) if kept.any() else np.zeros((len(norms), 1))


def _without(order: np.ndarray, taken: np.ndarray) -> np.ndarray:
    return order[~np.isin(order, taken)]


def _scatter(gram: Gram) -> np.ndarray:
    return gram.scatter.cpu().numpy()
