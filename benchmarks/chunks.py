"""What chunks of a layer know of it, from one Gram matrix, against the textbook way of a regression per chunk.

    python benchmarks/chunks.py [--samples N] [--width P] [--repeats R] [--threads N]

Textbook: scikit-learn's Ridge(alpha=1e-8) of all float32 features on those of the chunk, the residuals, numpy.cov of them, the
variance-weighted R2 and the mean absolute correlation. It is timed on one chunk a size, of which the Gram matrix gives all R in
the same round, and its time is multiplied by R; the pass over the samples is part of the total.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import torch
from sklearn.linear_model import Ridge
from timing import interleaved, machine

from widenet.kernels.gram import Gram
from widenet_redundant_repr.chunks import nested_r2, r2_and_correlation
from widenet_redundant_repr.grid import octaves


def features(count: int, width: int) -> np.ndarray:
    """A layer of 48 hidden factors and noise, float32."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 48)) @ rng.normal(size=(48, width)) / 7 + 0.1 * rng.normal(size=(count, width)) + 1
    return x.astype(np.float32)


def gram_of(x: np.ndarray) -> Gram:
    """One pass over the samples."""
    gram = Gram(x.shape[1])
    gram.update(x)
    return gram


def textbook(x: np.ndarray, index: np.ndarray) -> tuple[float, float]:
    """R2 and mean absolute residual correlation from the samples."""
    chunk = x[:, index]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # float32 is too coarse for this alpha
        residuals = x - Ridge(alpha=1e-8).fit(chunk, x).predict(chunk)
    r2 = 1 - (residuals**2).sum() / ((x - x.mean(0)) ** 2).sum()
    covariance = np.cov(residuals.T)
    roots = np.sqrt(covariance.diagonal())
    correlations = np.abs(covariance / (np.outer(roots, roots) + 1e-8))
    return float(r2), float(correlations[np.tril_indices(len(roots), -1)].mean())


def sizes_of(x: np.ndarray, repeats: int, rounds: int) -> tuple[float, float, float]:
    """Print a line a size; return the seconds of the textbook way and from the Gram matrix, and the largest gap in R2."""
    rng, gram = np.random.default_rng(1), gram_of(x)
    totals, gap = [0.0, 0.0], 0.0
    print("\n| chunk | textbook, ms a chunk | Gram matrix | ratio |\n|---:|---:|---:|---:|")
    for size in octaves(x.shape[1]):
        drawn = [rng.permutation(x.shape[1])[:size] for _ in range(repeats)]
        gap = max(gap, abs(textbook(x, drawn[0])[0] - r2_and_correlation(gram, drawn[0])[0]))
        work = {
            "textbook": lambda drawn=drawn: textbook(x, drawn[0]),
            "gram": lambda drawn=drawn: [r2_and_correlation(gram, index) for index in drawn],
        }
        times = interleaved(work, rounds, warmup=0)
        each = times["textbook"], times["gram"] / repeats
        totals = [total + repeats * time_ for total, time_ in zip(totals, each, strict=True)]
        print(f"| {size} | {each[0] * 1e3:.1f} | {each[1] * 1e3:.2f} | {each[0] / each[1]:.0f} |", flush=True)
    return totals[0], totals[1], gap


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    print("# Chunks of a layer\n\n`OMP_NUM_THREADS=1 python benchmarks/chunks.py > benchmarks/results/chunks.md`\n")
    print(f"{machine()}. N = {asked.samples}, P = {asked.width}, {asked.repeats} chunks a size.")
    print(f"The textbook way is timed on one chunk a size and scaled; medians of {asked.rounds} interleaved rounds.")
    x, rng = features(asked.samples, asked.width), np.random.default_rng(2)
    book, ours, gap = sizes_of(x, asked.repeats, asked.rounds)
    gram, orders = gram_of(x), [rng.permutation(asked.width) for _ in range(asked.repeats)]
    work = {"pass": lambda: gram_of(x), "nested": lambda: [nested_r2(gram, order) for order in orders]}
    once, nested = interleaved(work, asked.rounds).values()
    print(f"\nAll sizes: textbook {book:.1f} s; pass {once:.2f} s and chunks {ours:.2f} s,")
    print(f"**{book / (once + ours):.0f} times** faster. R2 differs by {gap:.0e} at most.")
    print(f"\nR2 of every size from 1 to {asked.width}, {asked.repeats} permutations: pass and {nested:.2f} s,")
    print(f"**{book / (once + nested):.0f} times** faster than the textbook way at the sizes above.")
    print("\nCost of the chunks after the pass:\n\n| N | s |\n|---:|---:|")
    grams = {count: gram_of(features(count, asked.width)) for count in (5_000, 20_000)}
    drawn = [order[:size] for order in orders for size in octaves(asked.width)]
    after = {str(n): lambda g=g: [r2_and_correlation(g, index) for index in drawn] for n, g in grams.items()}
    for count, seconds in interleaved(after, asked.rounds).items():
        print(f"| {count} | {seconds:.2f} |")


if __name__ == "__main__":
    main()
