"""What the core itself offers, as a plugin like any other."""

from collections.abc import Iterable

from widenet.builtin import datasets as _datasets
from widenet.builtin import models as _models
from widenet.builtin.importing import CHECK, Import, import_weights
from widenet.builtin.mask_stats import mask_stats
from widenet.builtin.subnet import subnet
from widenet.builtin.training import train
from widenet.components import Analysis, Dataset, Export, Method, Model, Train
from widenet.plugins import hookimpl


@hookimpl
def models() -> Iterable[Model]:
    """The networks."""
    return _models.models()


@hookimpl
def datasets() -> Iterable[Dataset]:
    """The data sets."""
    return _datasets.datasets()


@hookimpl
def methods() -> Iterable[Method]:
    """Plain training, and weights from elsewhere."""
    yield Method("train", train, Train)
    yield Method("import", import_weights, Import, presets={"check": CHECK})


@hookimpl
def analyses() -> Iterable[Analysis]:
    """Statistics of any run's masks."""
    yield Analysis("mask-stats", mask_stats)


@hookimpl
def exports() -> Iterable[Export]:
    """What masks leave of a network."""
    yield Export("subnet", subnet)
