"""What the curves of a layer's chunks say: the width of a complete chunk, the number of clones, the law of the error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np

from widenet_redundant_repr.chunks import sampling_floor
from widenet_redundant_repr.config import Drawing
from widenet_redundant_repr.infinity import Infinity
from widenet_redundant_repr.measure import Grams, Measured, deviation, means
from widenet_redundant_repr.powerlaw import PowerLaw, critical_width, fit_power_law
from widenet_redundant_repr.representation import Representation

FITTED = 0.05
"""Training error beyond which what is said of redundancy comes with a warning."""
COLUMNS = (
    *("test_error", "rescaled_test_error", "refitted_test_error", "train_error", "refitted_train_error"),
    *("r2", "r2_out", "r2_held_out", "correlation", "correlation_out"),
)
"""Quantities whose means the table shows."""


def errors_of(found: Measured) -> tuple[np.ndarray, np.ndarray]:
    """Test and training errors (K, R) under the trained read-out, or under refitted ones where it has none."""
    prefix = "" if "test_error" in found.values else "refitted_"
    return found.values[f"{prefix}test_error"], found.values[f"{prefix}train_error"]


def rows(found: Measured) -> Iterator[dict[str, Any]]:
    """A row a chunk size with the means over chunks; a quantity that is undefined is empty, and ``reason`` says why."""
    for k, (size, reason) in enumerate(zip(found.sizes, found.reasons, strict=True)):
        row: dict[str, Any] = {"of": found.of, "chunks": found.chunks, "size": size}
        for name in COLUMNS:
            if name in found.values:
                value = float(found.values[name][k].mean())
                row[name] = None if np.isnan(value) else value
            if name == "test_error" and name in found.values:
                values = found.values[name][k]
                row["deviation"] = deviation(values)
        yield {**row, "reason": reason}


def summarise(
    found: Representation, grams: Grams, main: Measured, infinity: Infinity | None, config: Drawing
) -> tuple[dict[str, Any], PowerLaw]:
    """The summary of a layer, and the law of its test error from the last tolerance's w_c* on."""
    test, train = errors_of(main)
    # With hardly more samples than neurons any chunk explains all.
    enough = np.array(main.sizes) + 2 <= grams.test.count
    r2 = np.where(enough, means(main, "r2"), np.nan).tolist()
    curves = (main.sizes, r2, train.mean(1).tolist(), float(train[-1].mean()))
    critical = {t: critical_width(*curves, config.r2_threshold, t) for t in config.tolerances}
    last = critical[config.tolerances[-1]]
    if last is None:
        law = PowerLaw(reason=f"no chunk on the grid has R2 of {config.r2_threshold} and the layer's training error")
    elif last == found.width:
        law = PowerLaw(reason="only the whole layer is complete, so there are no sizes to fit")
    else:
        law = fit_power_law(main.sizes, test, last, None if infinity is None else infinity.error)
    source = infinity.source if infinity is not None else "fitted" if law.error_infinity is not None else ""
    summary = {
        "layer": found.layer,
        "width": found.width,
        "constant_neurons": int((grams.test.scatter.diagonal() == 0).sum()),
        "test_samples": grams.test.count,
        "train_samples": len(found.train),
        "read_out": "the trained one" if found.head is not None else "refitted to each chunk",
        "test_error": float(test[-1].mean()),
        "train_error": float(train[-1].mean()),
        "error_infinity": infinity.error if infinity is not None else law.error_infinity,
        "error_infinity_source": source,
        "critical_width": last,
        "thresholds": [
            {"r2": config.r2_threshold, "tolerance": t, "critical_width": c, "clones": None if c is None else found.width // c}
            for t, c in critical.items()
        ],
        "power_law": attrs.asdict(law),
        "sampling_floor": sampling_floor(grams.test.count),
    }
    return summary, law


def said(summary: dict[str, Any]) -> Iterator[str]:
    """The summary in words, a line each."""
    if dead := summary["constant_neurons"]:
        yield f"{dead} of {summary['width']} neurons are the same on all test samples; the correlations count them as 0"
    if summary["train_error"] > FITTED:
        unfit = f"{summary['train_error']:.1%} of the training samples"
        yield f"the layer itself errs on {unfit}: clones are of networks that fit their training set"
    for found in summary["thresholds"]:
        rule = f"R2 at least {found['r2']:g}, training error within {found['tolerance']:g} of the layer's"
        if found["critical_width"] is None:
            yield f"no chunk on the grid is complete ({rule}): no sign of redundancy"
        elif found["critical_width"] == summary["width"]:
            yield f"only the whole layer is complete ({rule}): no sign of redundancy"
        else:
            yield f"w_c* = {found['critical_width']}: {found['clones']} clones in {summary['width']} neurons ({rule})"
    law = summary["power_law"]
    if law["exponent"] is None:
        yield f"no power law fitted: {law['reason']}"
        return
    spread = "" if law["exponent_error"] is None else f" +- {law['exponent_error']:.3f}"
    base = f"{summary['error_infinity']:.4f} ({summary['error_infinity_source']})"
    yield f"test error = {base} + {law['amplitude']:.3g} c^-{law['exponent']:.3f}{spread} from w_c* on"
