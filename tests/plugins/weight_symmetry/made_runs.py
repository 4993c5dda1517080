"""Runs made by hand: a folder with a record and metrics, as much as comparisons read."""

import math

from widenet.runs import Run
from widenet_weight_symmetry.across import symmetry_across
from widenet_weight_symmetry.across_config import COUNTED, Across


def counts(part="mask", **values):
    full = dict(zip(COUNTED, (64, 60, 2, "48", 0.9, 2, math.log10(49)), strict=True)) | values
    return {f"{part}/{name}": value for name, value in full.items()}


def epoch(number, accuracy, loss, **values):
    line = {
        "epoch": number,
        "step": 10 * number,
        "lr": 0.1,
        "seconds": 1.0,
        "train/loss": loss,
        "train/accuracy": 0.7 + number / 100,
        "test/loss": 2 * loss,
        "test/accuracy": accuracy,
        "cosine_similarity": 1 - number / 10,
        "distance": number / 2,
        "cumulative_gradient_norm": 3.0 * number,
    }
    return {**line, **values}


def folder(path, lines, options=None, result=None, component="weight-symmetry/shuffled-mask", **record):
    """A run with these metrics, as much of it as an analysis may read."""
    path.mkdir(parents=True)
    named = {name: {"value": value, "source": "command line"} for name, value in (options or {}).items()}
    about = {
        "component": component,
        "arch": {"name": "core/fc", "options": {}},
        "dataset": {"name": "core/tiny", "options": {}},
        "options": named,
        "result": result or {},
        "seed": 0,
        "shape": [1, 2, 2],
        "classes": 2,
        "status": "finished",
    }
    run = Run(path, {**about, **record})
    for line in lines:
        run.log(line)
    return run


TYPES = ("random", "symmetric")


class Nets:
    """Networks that must not be made."""

    def __getitem__(self, number):
        raise AssertionError("a network was made")


class Ears:
    def __init__(self):
        self.heard = []

    def say(self, text):
        self.heard.append(text)


def sweep(root, sparsities=(0.5, 0.9), seeds=3, types=TYPES):
    """Runs over mask types, sparsities and seeds; symmetric masks have more symmetry and are less accurate."""
    runs = []
    for kind in types:
        for sparsity in sparsities:
            for seed in range(seeds):
                symmetry = (40 if kind == "symmetric" else 20) - 10 * sparsity + seed
                accuracy = 0.9 - 0.01 * symmetry
                lines = [
                    {"epoch": 0, "step": 0, **counts(sparsity=sparsity, permutation_log10=symmetry)},
                    epoch(1, accuracy, 1.0),
                ]
                options = {"mask_type": kind, "sparsity": sparsity}
                path = root / f"shuffled-mask-{kind}-{sparsity}" / f"seed-{seed}"
                runs.append(folder(path, lines, options, {"test_accuracy": accuracy}, seed=seed))
    runs[0].reporter = Ears()
    return runs


def across(runs, **options):
    rows = list(symmetry_across(runs, Nets(), None, Across(**options)))
    return [row for row in rows if "spearman" not in row], [row for row in rows if "spearman" in row]
