"""The original's numbered experiments, generated from the structure of its table; each is a set of options.

Numbers 0, 1 and 241 to 246 only wrote data files, which nothing here needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import count, product
from typing import Any, get_args

import attrs

from widenet_frivolous.options import Activation, Initialiser

WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
INITIALISERS: tuple[str, ...] = get_args(Initialiser)
ACTIVATIONS: tuple[str, ...] = get_args(Activation)
OPTIMISERS = ("momentum", "sgd", "adam", "adagrad", "proximal-adagrad", "rmsprop", "ftrl")
REGULARISERS = ("none", "augment", "dropout", "weight-decay", "all")
MLP_WIDTHS, MLP_RATES = (1, 2, 4, 8, 16), (1.0, 0.1, 0.01, 0.001, 0.0001)
MLP_FACTORS = tuple(10.0**power for power in range(-2, 8))
DIVERGED = 166
"""AlexNet of four times the width without a regulariser at four times the rate, which the original's plots leave out."""


@attrs.frozen(kw_only=True)
class Experiment:
    """One number of the table; fields that a family does not have are at their defaults."""

    number: int
    family: str
    arch: str
    width: float
    init: str = "glorot-normal"
    init_factor: float = 1.0
    optimiser: str = "momentum"
    activation: str = "relu"
    lr: float = 0.01
    factor: float = 1.0
    regulariser: str = "none"
    random: bool = False
    seed: int = 0
    d: int = 0
    samples: int = 0


@cache
def experiments() -> dict[int, Experiment]:
    """Every experiment that trains, by its number: 2 to 240, and 247 to 3246."""
    return {made.number: made for made in (*on_cifar(), *_mlps())}


def on_cifar() -> Iterator[Experiment]:
    """Those of networks for CIFAR, 2 to 240."""
    numbers = count(2)

    def alexnet(family: str, width: float, **fields: Any) -> Experiment:
        return Experiment(number=next(numbers), family=family, arch="alexnet-cifar", width=width, **fields)

    def resnet(width: float, factor: float, random: bool = False) -> Experiment:
        fields: dict[str, Any] = {"arch": "resnet56-cifar", "width": width, "factor": factor, "random": random, "lr": 0.1}
        return Experiment(number=next(numbers), family="resnet_cifar", **fields)

    for random, init, width in product((False, True), INITIALISERS, WIDTHS):
        yield alexnet("init_scheme", width, init=init, random=random)
    for width in WIDTHS:
        yield alexnet("replication", width)
        yield alexnet("replication", width, random=True)
        for regulariser in REGULARISERS[1:]:
            yield alexnet("replication", width, regulariser=regulariser)
    for width, optimiser in product(WIDTHS, OPTIMISERS):
        yield alexnet("optimizers", width, optimiser=optimiser)
    for width, activation in product(WIDTHS, ACTIVATIONS):
        yield alexnet("act_functions", width, activation=activation)
    for regulariser, width, factor in product(REGULARISERS, WIDTHS, (0.25, 4.0)):
        yield alexnet("lr_bs", width, regulariser=regulariser, factor=factor)
    for width, factor in product(WIDTHS, (0.25, 4.0)):
        yield alexnet("lr_bs", width, random=True, factor=factor)
    for width in WIDTHS:
        yield resnet(width, 1.0)
        yield resnet(width, 1.0, random=True)
        yield resnet(width, 0.25)
    yield from (alexnet("replication", 4.0, regulariser=regulariser, seed=1) for regulariser in ("none", "all"))
    yield from (resnet(width, 4.0) for width in WIDTHS)
    yield from (alexnet("replication", 0.25, regulariser=regulariser, seed=1) for regulariser in ("none", "all"))


def _mlps() -> Iterator[Experiment]:
    """Networks of one hidden layer on Gaussian inputs."""
    numbers = count(247)
    blocks = [(optimiser, 1000) for optimiser in ("sgd", "adam", "rmsprop")]
    blocks += [("momentum", samples) for samples in (10_000, 100_000, 1000)]
    for (optimiser, samples), d in product(blocks, (10, 10_000)):
        for width, lr, factor in product(MLP_WIDTHS, MLP_RATES, MLP_FACTORS):
            yield Experiment(
                number=next(numbers),
                family=f"rand{d}",
                arch="mlp1",
                width=width,
                init_factor=factor,
                optimiser=optimiser,
                lr=lr,
                d=d,
                samples=samples,
            )


def remarks(experiment: Experiment) -> list[str]:
    """Where the original's run of this number rests on code that does not do what it says, or differs from ours."""
    made = []
    if experiment.arch == "mlp1":
        made.append("teacher and samples were drawn anew, without a seed, in each of the original's folders")
    elif experiment.arch == "resnet56-cifar":
        made.append(
            "the original's 182 epochs passed over 142,500 records with repeats, three times as many as its rates assume"
        )
    else:
        made.append("the original's validation images were training images, and its training file held images up to five times")
    if experiment.random:
        made.append("its random labels had no seed, and differed between folders")
    if experiment.optimiser == "adam":
        made.append("its Adam took a rate of 0.001 whatever the table says")
    if experiment.optimiser in OPTIMISERS[3:]:
        made.append("its optimiser took a constant tenth of the table's rate")
    if experiment.optimiser == "proximal-adagrad":
        made.append("proximal Adagrad without penalties is Adagrad")
    if experiment.number == DIVERGED:
        made.append("it diverged, and the original's plots leave it out")
    return made


def note(number: int, seed: int) -> str:
    """What a user who runs experiment ``number`` should know, in one line; empty where there is no such number."""
    experiment = experiments().get(number)
    if experiment is None:
        return ""
    made = remarks(experiment)
    if experiment.seed and seed != experiment.seed:
        made.append(f"the table's seed is {experiment.seed}, this run's is {seed}")
    return f"experiment {number}: {'; '.join(made)}"
