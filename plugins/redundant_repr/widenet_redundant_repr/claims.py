"""Recipe for ``wn reproduce``: the paper's three panels, of chunks of one layer. The other is in :mod:`.claims_width`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from widenet import Claim, Panel, Recipe, Stage
from widenet.recipes import SCALES, difference, ratio, slope, value
from widenet_redundant_repr.presets import PUBLISHED

PAPER = 'Doimo et al., "Redundant representations help generalization in wide neural networks", NeurIPS 2022'
MLP: Mapping[str, Any] = {
    "dataset": "digits:size=8",
    "optimizer": "adam",
    "lr": 0.003,
    "weight_decay": 0.003,
    "epochs": 30,
}
"""Networks that fit their training set in a second."""
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "smoke": {"arch": "pmnist-fc:width=128", **MLP},
    "small": {"arch": "wrn16:k=2", "dataset": "cifar10:augment=false", "epochs": 20, "lr": 0.1, "amp": True},
    "paper": PUBLISHED,
}
REPEATS: Mapping[str, Mapping[str, Any]] = {
    "smoke": {"error_repeats": 30, "r2_repeats": 10},
    "small": {},
    "paper": {},
}
SEEDS = {"smoke": range(2), "small": range(3), "paper": range(20)}
"""The paper's error at infinite width is that of an ensemble of twenty."""
OCTAVES = tuple(2**power for power in range(10))
READ = "read off"


def three_panels(study: Any) -> Iterator[dict[str, Any]]:
    """Test error, training error, R2 and residual correlation of random chunks of a wide network's last layer.

    The paper's network is WRN28-8 on CIFAR-10, 512 neurons, and its error at infinite width that of twenty such networks. Small
    scale trains WRN16-2, 128 neurons, for 20 epochs without augmentation, so that it comes near zero training error; the error
    at infinite width is that of the ensemble of its seeds, which with three of them lies well above the limit.
    """
    infinity = {row["run"]: row["ensemble_error"] for row in study.across.get("bias-variance", ())}
    for trial in study.trials:
        rows = [row for row in trial.tables.get("chunks", ()) if (row["of"], row["chunks"]) == ("layer", "random")]
        width = max((row["size"] for row in rows), default=0)
        limit = infinity.get(trial.run.path.parent.name)
        for row in rows:
            names = ("size", "test_error", "train_error", "r2", "correlation", "correlation_out")
            found = {name: row.get(name) for name in names}
            # What is left of two errors that are the same is rounding, and has no logarithm.
            beyond = None if limit is None or found["test_error"] is None else round(found["test_error"] - limit, 7)
            about = {"label": trial.values["label"], "seed": trial.values["seed"], "share": row["size"] / width}
            yield {**about, **found, "beyond": beyond}


def _stage(scale: str) -> Stage:
    analyses = {"chunks": REPEATS[scale], "bias-variance": {}}
    return Stage("train", NETWORKS[scale], {"seed": SEEDS[scale]}, analyses, label="chunks")


def _panel(y: str, label: str, paper: Mapping[int, float], **more: Any) -> Panel:
    return Panel("size", y, x_label="chunk size (neurons)", y_label=label, log_x=True, paper={"chunks": paper}, **more)


QUARTER, HALF, ALL = ({"share": share} for share in (0.25, 0.5, 1.0))
THREE_PANELS = Recipe(
    "three-panels",
    three_panels,
    scales={scale: [_stage(scale)] for scale in SCALES},
    panels=[
        _panel(
            *("beyond", "test error beyond infinite width"),
            dict(zip(OCTAVES[4:], (0.3365, 0.0994, 0.0196, 0.0100, 0.0073, 0.0053), strict=True)),
            log_y=True,
        ),
        _panel(
            *("train_error", "training error"),
            dict(zip(OCTAVES, (0.874, 0.829, 0.780, 0.583, 0.310, 0.0913, 0.0056, 1.5e-5, 2e-6, 0), strict=True)),
            percent=True,
        ),
        _panel(
            *("r2", "R² of the layer"),
            dict(zip(OCTAVES, (0.054, 0.067, 0.144, 0.295, 0.541, 0.876, 0.992, 0.997, 0.999, 1.0), strict=True)),
        ),
        _panel(
            *("correlation", "mean |correlation| of residuals"),
            dict(zip(OCTAVES, (0.0575, 0.0576, 0.0581, 0.0579, 0.0610, 0.0518, 0.0209, 0.0105, 0.0036, 0.0004), strict=True)),
        ),
    ],
    claims=[
        Claim(
            "A quarter of the neurons does almost as well: test error, less the layer's",
            difference("test_error", QUARTER, ALL),
            *(f"figure 3b, {READ}", 0.0100 - 0.0053),
            below=0.02,
            unit="%",
        ),
        Claim(
            "It fits the training set as well: training error",
            value("train_error", **QUARTER),
            *(f"figure 4b, {READ}", 1.5e-5),
            below=0.01,
            unit="%",
        ),
        Claim(
            "It predicts the other neurons: R2",
            value("r2", **QUARTER),
            *(f"figure 4e, {READ}", 0.997),
            above=0.99,
        ),
        Claim(
            "From there on error beyond infinite width falls like c^(-1/2): exponent",
            slope("size", "beyond", log=True, share=(0.25, 0.5, 1.0)),
            *(f"figure 3b, {READ}", -0.458),
            above=-0.75,
            below=-0.25,
        ),
        Claim(
            "What half leaves is noise: residual correlation, over what one neuron leaves",
            ratio("correlation_out", HALF, {"size": 1}),
            *(f"figure 4e, {READ}, dilution undone", 0.0143 / 0.0578),
            below=0.5,
        ),
    ],
    source=PAPER,
)
