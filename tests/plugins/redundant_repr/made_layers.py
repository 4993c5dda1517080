"""Layers with a few hidden factors, and the published statistics of a chunk computed from the samples."""

from pathlib import Path

import numpy as np

from widenet.kernels.gram import Gram

GOLDEN = Path(__file__).parents[2] / "golden" / "redundant_repr"


def layer(count, width, seed, rank=3, noise=0.3, offset=2.0):
    """Activations (count, width), float64."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(count, rank)) @ rng.normal(size=(rank, width))
    return factors + noise * rng.normal(size=(count, width)) + offset * rng.normal(size=width)


def gram_of(x):
    found = Gram(x.shape[1])
    found.update(x)
    return found


def textbook(x, chunk):
    """(R2, R2 outside, mean absolute residual correlation, the same outside) by least squares on the samples."""
    outside = np.setdiff1d(np.arange(x.shape[1]), chunk)
    design = np.column_stack([np.ones(len(x)), x[:, chunk]])
    residuals = x - design @ np.linalg.lstsq(design, x, rcond=None)[0]
    residuals[:, chunk] = 0
    total = ((x - x.mean(0)) ** 2).sum(0)
    left = (residuals**2).sum(0)
    residuals[:, left <= 1e-9 * total] = 0
    covariance = np.cov(residuals.T)
    roots = np.sqrt(covariance.diagonal())
    rho = np.abs(covariance / (np.outer(roots, roots) + 1e-8))
    pairs, pairs_out = np.triu_indices(len(rho), 1), np.triu_indices(len(outside), 1)
    rho_out = rho[np.ix_(outside, outside)][pairs_out]
    return 1 - left.sum() / total.sum(), 1 - left[outside].sum() / total[outside].sum(), rho[pairs].mean(), rho_out.mean()
