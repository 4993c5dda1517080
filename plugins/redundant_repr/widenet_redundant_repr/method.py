"""The study in one command: train, capture, measure, draw."""

from __future__ import annotations

from typing import Any

from widenet import UsageError
from widenet.runs import ranks
from widenet.train import fit
from widenet_redundant_repr.analysis import check, study
from widenet_redundant_repr.config import RedundantRepr
from widenet_redundant_repr.pmnist import squared_hinge


def carry_out(run: Any, net: Any, data: Any, config: RedundantRepr) -> dict[str, Any]:
    """Train unless told not to, then study the chunks; the result has what :func:`.summary.summarise` finds.

    Raises:
        UsageError: squared-hinge with more than two classes; or as :func:`.analysis.check`.
    """
    if config.loss == "squared-hinge" and data.classes != 2:
        raise UsageError(f"--loss squared-hinge is for two classes, {data.name} has {data.classes}; choose cross-entropy")
    infinity = check(run, net, data, config) if ranks.leading() else None  # of torchrun's processes one studies
    if config.train:
        loss = squared_hinge if config.loss == "squared-hinge" else None
        for epoch in fit(run, net, data, config, loss=loss):
            if epoch.values["train/loss"] < config.stop_below:
                run.say(f"training loss {epoch.values['train/loss']:.3g} is below {config.stop_below:g}: training ends here")
                break
    if not ranks.leading():
        return {}
    _, found = study(run, net, data, config, infinity)
    law = found["power_law"]
    kept = ("layer", "width", "test_error", "train_error", "error_infinity", "error_infinity_source", "critical_width")
    return {
        **{name: found[name] for name in kept},
        "clones": found["thresholds"][-1]["clones"],
        "exponent": law["exponent"],
        "exponent_error": law["exponent_error"],
        "figure": "chunks.png",
    }
