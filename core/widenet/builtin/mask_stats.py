"""Statistics of a run's masks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from widenet.components import NoOptions
from widenet.errors import UsageError


def mask_stats(run: Any, net: Any, data: Any, config: NoOptions) -> Iterator[dict[str, Any]]:
    """Count kept weights, density and dead units of each masked layer.

    A dead unit (row of a linear layer, filter of a convolution) has no incoming weight left; a dead input feeds no unit.
    The last row, ``all``, sums over layers. A masked bias has a row of weights kept, and no units.
    The figure has the kept fraction and what is cut off, layer by layer.

    Raises:
        UsageError: the run has no masks.
    """
    from widenet import figures
    from widenet.builtin import mask_figure

    yield from figures.beside(_rows(run), lambda rows: mask_figure.mask_stats(rows, run.name), run, "mask-stats")


def _rows(run: Any) -> Iterator[dict[str, Any]]:
    if not run.has_masks():
        raise UsageError(f"{run.name} has no masks ({run.record['component']} makes none); `wn run supermask` makes some")
    totals = {"weights": 0, "kept": 0, "units": 0, "dead_units": 0, "inputs": 0, "dead_inputs": 0}
    for layer, mask in run.masks().items():
        per_pair = mask.reshape(*mask.shape[:2], -1).any(2) if mask.ndim > 1 else mask[:0].reshape(0, 0)
        row = {
            "weights": mask.size,
            "kept": int(mask.sum()),
            "units": len(per_pair),
            "dead_units": int((~per_pair.any(1)).sum()),
            "inputs": per_pair.shape[1],
            "dead_inputs": int((~per_pair.any(0)).sum()),
        }
        totals = {key: totals[key] + value for key, value in row.items()}
        yield {"layer": layer, "density": row["kept"] / max(1, row["weights"]), **row}
    yield {"layer": "all", "density": totals["kept"] / max(1, totals["weights"]), **totals}
