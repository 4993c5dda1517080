"""The study in one command: train, then measure which units can be removed, and which repeat others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from widenet.files import write_csv
from widenet.runs import ranks
from widenet_frivolous import prunability, redundancy_analysis
from widenet_frivolous.config import Frivolous
from widenet_frivolous.curve_config import Prunability
from widenet_frivolous.hidden import studied_layers
from widenet_frivolous.redundancy_config import Redundancy
from widenet_frivolous.training import train_network

Row = Mapping[str, Any]
REDUNDANCY = "compressibility_0.95"
"""The published redundancy of a layer, as its table calls it."""


def carry_out(run: Any, net: Any, data: Any, config: Frivolous) -> dict[str, Any]:
    """Train unless told not to, then study the network with the defaults of both analyses.

    The run receives ``prunability.csv`` and ``redundancy.csv`` (their tables), ``summary.csv`` (a row a layer), and figures.

    Raises:
        UsageError: the network has no hidden layer to study; as :func:`.training.train_network` and the analyses.
    """
    studied_layers(net, data.test, ())  # refused before training, not after it
    trained = train_network(run, net, data, config) if config.train else {}
    if not ranks.leading():  # of torchrun's processes one studies
        return trained
    net.eval()
    curves = list(prunability.study(run, net, data, Prunability(adaptive=True)))
    layers = list(redundancy_analysis.study(run, net, data, Redundancy()))
    write_csv(run.out / "prunability.csv", curves)
    write_csv(run.out / "redundancy.csv", layers)
    thresholds = {row["layer"]: row["threshold"] for row in curves if row["what"] == "threshold"}
    summary = _summary(layers, thresholds)
    write_csv(run.out / "summary.csv", summary)
    for row in summary:
        run.say(
            f"{row['layer']}: {row['units']} units, {row['dead']} dead; {row['prunable']:.1%} of them can go, "
            f"{row['redundant']:.1%} of their directions are redundant"
        )
    whole = thresholds.get(prunability.ALL, next(iter(thresholds.values())))
    return {**trained, "prunable": whole, "redundant": sum(row["redundant"] for row in summary) / len(summary)}


def _summary(layers: Sequence[Row], thresholds: Mapping[str, float]) -> list[dict[str, Any]]:
    """A row a layer: its units, those that are dead, and the fractions that are prunable alone and redundant."""
    return [
        {
            "layer": row["layer"],
            "units": row["units"],
            "dead": row["dead"],
            "prunable": thresholds[row["layer"]],
            "redundant": row[REDUNDANCY],
        }
        for row in layers
    ]
