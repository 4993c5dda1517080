"""The study in one command: train, then measure which units can be removed, and which repeat others."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from widenet.analyse import analyse_within
from widenet.files import write_csv
from widenet.runs import ranks
from widenet_frivolous.layers import studied_layers
from widenet_frivolous.options import Frivolous, Prunability, Redundancy
from widenet_frivolous.prunability import ALL
from widenet_frivolous.training import train_network

REDUNDANCY = "compressibility_0.95"
"""The published redundancy of a layer, as its table calls it."""


def carry_out(run: Any, net: Any, data: Any, config: Frivolous) -> dict[str, Any]:
    """Train unless told not to, then study the network with the defaults of both analyses.

    The run receives ``summary.csv`` (a row a layer); tables and figures are those of ``wn analyze prunability --adaptive`` and
    ``redundancy``, kept as if these had been asked for.

    Raises:
        UsageError: the network has no hidden layer to study; as :func:`.training.train_network` and the analyses.
    """
    studied_layers(net, data.test, ())  # refused before training, not after it
    trained = train_network(run, net, data, config) if config.train else {}
    if not ranks.leading():  # of torchrun's processes one studies
        return trained
    net.eval()
    curves = analyse_within(run, "frivolous/prunability", net, data, Prunability(adaptive=True))
    layers = analyse_within(run, "frivolous/redundancy", net, data, Redundancy())
    thresholds = {row["layer"]: row["threshold"] for row in curves if row["what"] == "threshold"}
    summary = [
        {
            "layer": row["layer"],
            "units": row["units"],
            "dead": row["dead"],
            "prunable": thresholds[row["layer"]],
            "redundant": row[REDUNDANCY],
        }
        for row in layers
    ]
    write_csv(run.out / "summary.csv", summary)
    for row in summary:
        run.say(
            f"{row['layer']}: {row['units']} units, {row['dead']} dead; {row['prunable']:.1%} of them can go, "
            f"{row['redundant']:.1%} of their directions are redundant"
        )
    run.say(f"tables and figures: {run.out / 'analyses'}")
    whole = thresholds.get(ALL, next(iter(thresholds.values())))
    return {**trained, "prunable": whole, "redundant": fmean(row["redundant"] for row in summary)}
