"""From an experiment of the original's table to the options that run it here."""

from __future__ import annotations

from typing import Any

from widenet_frivolous.experiments import Experiment

HELD_OUT = 0.05
"""Fraction of CIFAR's training images that the original meant to validate on."""
EPOCHS, RANDOM_TIMES, AUGMENTED_TIMES, PATIENCE, RANDOM_PATIENCE = 500, 10, 2, 50, 25


def recipe(experiment: Experiment) -> dict[str, Any]:
    """The method's options for an experiment, with ``arch`` and ``dataset``; those at their defaults are left out.

    The seed is the command's to give.
    """
    made = {"alexnet-cifar": _alexnet, "resnet56-cifar": _resnet, "mlp1": _mlp}[experiment.arch](experiment)
    made |= _optimiser(experiment)
    made |= {"lr_bs_factor": experiment.factor} if experiment.factor != 1 else {}
    return made | {"experiment": experiment.number}


def _alexnet(experiment: Experiment) -> dict[str, Any]:
    spec = f"alexnet-cifar:width={experiment.width:g}"
    spec += f",init={experiment.init}" if experiment.init != "glorot-normal" else ""
    spec += f",activation={experiment.activation}" if experiment.activation != "relu" else ""
    augmented = experiment.regulariser in ("augment", "all")
    times = RANDOM_TIMES if experiment.random else AUGMENTED_TIMES if augmented else 1
    made: dict[str, Any] = {"arch": spec, "dataset": "frivolous-cifar", "epochs": EPOCHS * times, "val": HELD_OUT}
    made |= {"regulariser": experiment.regulariser} if experiment.regulariser != "none" else {}
    return made | _selection(experiment)


def _resnet(experiment: Experiment) -> dict[str, Any]:
    """The trainer of TensorFlow's official network; the last network is kept."""
    made: dict[str, Any] = {
        "arch": f"resnet56-cifar:width={experiment.width:g},norm_momentum=0.003",
        "dataset": f"frivolous-cifar:recipe=resnet{'' if experiment.random else ',augment=true'}",
        "epochs": 182,
        "val": HELD_OUT,
        "schedule": "step",
        "milestones": (91, 136),
        "gamma": 0.1,
        "eval_every": 5,
    }
    return made | ({"labels": "random"} if experiment.random else {"weight_decay": 2e-4})


def _mlp(experiment: Experiment) -> dict[str, Any]:
    n = experiment.samples
    return {
        "arch": f"mlp1:width={experiment.width:g},init_factor={experiment.init_factor:g}",
        "dataset": f"gaussian-teacher:d={experiment.d},train={n},val={n},test=1000",
        "epochs": 50,
        "select": "val",
    }


def _selection(experiment: Experiment) -> dict[str, Any]:
    """The best epoch by validation, or by training where labels are random."""
    if experiment.random:
        return {"labels": "random", "select": "train", "patience": RANDOM_PATIENCE}
    return {"select": "val", "patience": PATIENCE}


def _optimiser(experiment: Experiment) -> dict[str, Any]:
    """Optimiser and rate as the original's code had them, not as its table says."""
    name, lr = experiment.optimiser, experiment.lr
    if name == "momentum":
        return {"lr": lr}
    if name == "sgd":
        return {"lr": lr, "momentum": 0.0}
    rate = 1e-3 if name == "adam" else lr / 10
    return {"lr": rate, "optimizer": name.removeprefix("proximal-"), "schedule": "constant"}
