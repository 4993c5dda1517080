"""What the recipes have in common: networks trained plainly and with gates, at three scales, and names of sets of units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from widenet import Stage

PAPER = 'Badola et al., "Decomposing the Deep: Finding Class Specific Filters in Deep CNNs", Neural Comput. Appl. 2023'
NAMES = {
    "frequency": "most frequent",
    "weight": "largest weights",
    "random": "random",
    "gate": "highest gates",
    "lowest-gate": "lowest gates",
}
"""What figures call the sets of units that a score gives."""
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "smoke": {"arch": "resnet20", "dataset": "digits:size=8", "epochs": 4, "batch_size": 64, "lr": 0.1},
    "small": {"arch": "resnet20", "dataset": "cifar10", "epochs": 15, "lr": 0.1},
    # The paper took a published network; this is the training that such networks usually get (He et al. 2016).
    "paper": {
        "arch": "resnet20",
        "dataset": "cifar10",
        "epochs": 182,
        "lr": 0.1,
        "weight_decay": 1e-4,
        "schedule": "step",
        "milestones": (91, 136),
    },
}
GATES: Mapping[str, Mapping[str, Any]] = {
    "smoke": {**NETWORKS["smoke"], "gate_warmup": 1, "period": 2, "penalty": 0.05},
    "small": {**NETWORKS["small"], "gate_warmup": 3, "penalty": 0.05},
    "paper": {"preset": "csg_resnet20"},
}
SEEDS: Mapping[str, Sequence[int]] = {"smoke": range(2), "small": range(3), "paper": range(5)}


def plain(scale: str, analyses: Mapping[str, Mapping[str, Any]] | None = None) -> Stage:
    """Networks trained plainly."""
    return Stage("train", NETWORKS[scale], {"seed": SEEDS[scale]}, analyses or {}, label="plain")


def gated(scale: str, analyses: Mapping[str, Mapping[str, Any]]) -> Stage:
    """The same with class-specific gates (CSG, Liang et al. 2020), which the paper compares with."""
    return Stage("gate-train", GATES[scale], {"seed": SEEDS[scale]}, analyses, label="gated")


def both(analysis: str, scale: str, options: Mapping[str, Any]) -> list[Stage]:
    """One analysis of both networks: units by frequency, weights and chance of the plain one, by gates of the other."""
    scores = {"plain": "frequency,weight,random", "gated": "gate,lowest-gate"}
    ours, theirs = ({analysis: {**options, "k": "5,10,20", "score": scores[name]}} for name in ("plain", "gated"))
    return [plain(scale, ours), gated(scale, theirs)]


def units(row: Mapping[str, Any]) -> str:
    """``plain: most frequent``: the network and the set of units of a row of an analysis."""
    return f"{row['label']}: {NAMES[row['score']]}"
