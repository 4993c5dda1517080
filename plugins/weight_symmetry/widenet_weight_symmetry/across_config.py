"""Options of the comparison of runs, and the columns that it knows."""

from __future__ import annotations

from typing import Literal

import attrs

from widenet import opt
from widenet.options import nearest

COUNTED = (
    *("total_neurons", "unique_neurons", "zeroed_neurons", "permutations", "sparsity"),
    *("permutation_num_digits", "permutation_log10"),
)
"""What is counted of masks; ``permutations`` is text, as it may have thousands of digits."""
MEASURED = (
    *("train_avg_loss", "train_accuracy", "test_avg_loss", "test_accuracy", "step"),
    *("cosine_distance", "cumulative_gradient_norm", "vector_difference_norm"),
)
"""What is measured in an epoch; ``cosine_distance`` is the similarity, under its old name."""
MASKS, BEST = ("mask", "propagated_mask"), ("best_test_acc", "best_train_loss")
FIELDS = (
    *(f"{part}/{name}" for part in MASKS for name in COUNTED),
    *(f"{part}/{name}" for part in BEST for name in MEASURED),
)
"""Every field of a run's summary."""
WORDS = ("run", "arch", "dataset", "method", "mask_type")
NUMBERS = (
    *("seed", "sparsity", "log10_permutations", "test_accuracy"),
    *(name for name in FIELDS if not name.endswith("/permutations")),
)
CHIEF = ("run", "arch", "dataset", "method", "seed", "mask_type", "sparsity", "log10_permutations", "test_accuracy")
"""The columns of every table."""


@attrs.frozen(kw_only=True)
class Across:
    """Options of ``wn analyze symmetry-across``."""

    x: str = opt("mask/sparsity", "Column along the figure's axis.")
    y: str = opt("log10_permutations", "Column up the figure's axis.")
    by: str = opt("mask_type", "Column that colours; where a run has nothing there, its method stands for it.")
    log: Literal["none", "x", "y", "both"] = opt("none", "Axes on a logarithmic scale.")
    wide: bool = opt(False, "Every number in the table, not only the chief ones and those of the figure.")

    def __attrs_post_init__(self) -> None:
        for name, value, known in (("x", self.x, NUMBERS), ("y", self.y, NUMBERS), ("by", self.by, (*WORDS, *NUMBERS))):
            if value not in known:
                hint = nearest(value, known) or f"; there are {', '.join(known)}"
                fault = "is no number" if value in (*WORDS, *FIELDS) else "is no column"
                raise ValueError(f"{name}: {value!r} {fault}{hint}")
