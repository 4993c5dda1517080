"""Recipe for ``wn reproduce``: redundancy, errors and variance of networks of rising width, with and without weight decay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from widenet import Claim, Panel, Recipe, Stage
from widenet.recipes import SCALES, difference, extremes, slope, value
from widenet_redundant_repr.claims import MLP, PAPER, REPEATS
from widenet_redundant_repr.presets import CIFAR, DATASETS, DENSENETS

DECAY, NONE, ENSEMBLE = "weight decay", "no weight decay", "seeds together"
"""Lines of the figure."""
R2, TOLERANCE = 0.99, 0.01
"""What makes a chunk complete: R2 of the layer, and training error beyond the layer's."""
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "smoke": MLP,
    "small": {"dataset": "parity", "optimizer": "adam", "lr": 0.001, "weight_decay": 0.003, "batch_size": 256, "epochs": 200},
    "paper": {**CIFAR, "dataset": DATASETS["cifar10"]},
}
ARCHS: Mapping[str, Sequence[str]] = {
    "smoke": [f"pmnist-fc:width={width}" for width in (8, 32, 128)],
    "small": [f"pmnist-fc:width={width}" for width in (16, 32, 64, 128, 256, 512)],
    "paper": list(DENSENETS.values()),
}
SEEDS = {"smoke": range(2), "small": range(3), "paper": range(5)}
WIDTHS = (44, 88, 176, 352, 704, 1408)
REBUTTAL = "authors' rebuttal, DenseNet40, read off"


def width_series(study: Any) -> Iterator[dict[str, Any]]:
    """Clones, errors and variance over seeds against the width of the last layer, and the widest without weight decay.

    A chunk is complete where its R2 is 0.99 and its training error within a point of the layer's; as many of them as a layer
    holds are its clones. The paper has DenseNet40 of CIFAR-10 (what loss its variance is of is not known; here it is the
    squared error of the softmax). Small scale takes its other task, parity of MNIST from ten components, with cross-entropy
    for 200 epochs.
    """
    rows = [row for trial in study.trials if (row := _row(trial)) is not None]
    widest = max((row["width"] for row in rows), default=0)
    widths = {row.pop("run"): row["width"] for row in rows}
    yield from ({**row, "widest": row["width"] == widest} for row in rows)
    for row in study.across.get("bias-variance", ()):
        if (width := widths.get(row["run"])) is not None:
            about = {"label": ENSEMBLE, "width": width, "widest": width == widest}
            about |= {"test_error": row["ensemble_error"], "bias2": row["bias2"], "variance": row["variance"]}
            yield {**about, "variance_share": row["variance"] / row["loss"] if row["loss"] else None}


def _row(trial: Any) -> dict[str, Any] | None:
    """Width, errors and clones of a run, from the table of its chunks; None without one."""
    from widenet_redundant_repr.powerlaw import critical_width

    rows = [row for row in trial.tables.get("chunks", ()) if (row["of"], row["chunks"]) == ("layer", "random")]
    if not rows:
        return None
    sizes, errors = ([row[name] for row in rows] for name in ("size", "train_error"))
    r2 = [float("nan") if row["r2"] is None else row["r2"] for row in rows]
    complete = critical_width(sizes, r2, errors, errors[-1], R2, TOLERANCE)
    return {
        "label": trial.values["label"],
        "seed": trial.values["seed"],
        "run": trial.run.path.parent.name,
        "width": sizes[-1],
        "test_error": rows[-1]["test_error"],
        "train_error": errors[-1],
        "complete": complete,
        "quarter_r2": next((known for size, known in zip(sizes, r2, strict=True) if 4 * size >= sizes[-1]), None),
        "clones": None if complete is None else sizes[-1] // complete,
    }


def _stages(scale: str) -> list[Stage]:
    options, seeds, archs = NETWORKS[scale], {"seed": SEEDS[scale]}, ARCHS[scale]
    chunks = {"chunks": REPEATS[scale]}
    bare = {**options, "arch": archs[-1], "weight_decay": 0.0}
    return [
        Stage("train", options, {"arch": archs, **seeds}, {**chunks, "bias-variance": {}}, label=DECAY),
        Stage("train", bare, seeds, chunks, label=NONE),
    ]


def _panel(y: str, label: str, lines: tuple[str, ...], paper: Sequence[float] = (), **more: Any) -> Panel:
    known = {lines[0]: dict(zip(WIDTHS, paper, strict=True))} if paper else {}
    return Panel("width", y, where={"label": lines}, x_label="width (neurons)", y_label=label, log_x=True, paper=known, **more)


WIDTH_SERIES = Recipe(
    "width-series",
    width_series,
    scales={scale: _stages(scale) for scale in SCALES},
    panels=[
        _panel("test_error", "test error", (DECAY, NONE, ENSEMBLE), percent=True),
        _panel("train_error", "training error", (DECAY, NONE), (0.0865, 0.0086, 0.0001, 0, 0, 0), percent=True),
        _panel("clones", "clones", (DECAY, NONE), log_y=True),
        _panel(
            *("variance_share", "variance, of the loss", (ENSEMBLE,)),
            [
                variance / loss
                for variance, loss in zip(
                    (0.154, 0.180, 0.116, 0.081, 0.070, 0.067), (0.540, 0.512, 0.396, 0.324, 0.300, 0.295), strict=True
                )
            ],
            percent=True,
        ),
    ],
    claims=[
        Claim(
            "Wider networks fit their training set: training error of the widest",
            value("train_error", label=DECAY, widest=True),
            *(REBUTTAL, 0.0),
            below=0.001,
            unit="%",
        ),
        Claim(
            "And go on getting better: test error of the widest, less the narrowest's",
            extremes("width", "test_error", label=DECAY),
            *("abstract", "falls"),
            below=0.0,
            unit="%",
        ),
        Claim(
            "Clones are added in proportion to the width: exponent of their number",
            slope("width", "clones", log=True, label=DECAY),
            *("abstract", "1, above a critical width"),
            above=0.0,
        ),
        Claim(
            "It takes weight decay: R2 of a quarter of the widest, less that without it",
            difference("quarter_r2", {"label": DECAY, "widest": True}, {"label": NONE, "widest": True}),
            *("abstract", "more"),
            above=0.0,
        ),
        Claim(
            "Variance over seeds falls: part of the loss, widest less narrowest",
            extremes("width", "variance_share", label=ENSEMBLE),
            *(REBUTTAL, 0.067 / 0.295 - 0.154 / 0.540),
            below=0.0,
            unit="%",
        ),
    ],
    source=PAPER,
)
