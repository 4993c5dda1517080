"""Random labels on any data set."""

from __future__ import annotations

from typing import Any

import attrs
import torch
from torch import Tensor

from widenet.data import Data, Files, Images
from widenet.errors import UsageError


def random_labels(data: Data, run: Any) -> Data:
    """Return the data with a class drawn for each training and validation sample, all alike likely; test labels stay true.

    The draws come from the run's seed, split by split, and so are the same whenever the run is opened.

    Raises:
        UsageError: a split is of a plugin's own kind, whose labels cannot be replaced.
    """
    found = {name: getattr(data, name) for name in ("train", "val") if getattr(data, name) is not None}
    drawn = {
        name: torch.randint(data.classes, (len(split),), generator=run.generator("random-labels", name))
        for name, split in found.items()
    }
    changed = {name: relabelled(split, drawn[name], data.name) for name, split in found.items()}
    return Data(**{field.name: getattr(data, field.name) for field in attrs.fields(Data)} | changed)


def studied(data: Data, run: Any) -> Data:
    """The data with the labels that the run was trained on: random ones where it had ``--labels random``."""
    return random_labels(data, run) if run.option("labels") == "random" else data


def relabelled(split: Any, labels: Tensor, name: str) -> Any:
    """Return the split with other ``labels``, int64 (N,) on the CPU.

    Raises:
        UsageError: it is neither in memory nor a folder of images, and has no method ``relabelled``.
    """
    if isinstance(split, Images):
        return attrs.evolve(split, y=labels.to(split.y.device))
    if isinstance(split, Files):
        return attrs.evolve(split, images=_Relabelled(split.images, labels.tolist()))
    if hasattr(split, "relabelled"):
        return split.relabelled(labels)
    raise UsageError(f"{name} has splits whose labels cannot be replaced; choose another data set, or leave --labels out")


@attrs.frozen(eq=False)
class _Relabelled:
    """The images of a :class:`~widenet.data.Files` with other labels."""

    images: Any
    targets: list[int]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        image, _ = self.images[index]
        return image, self.targets[index]
