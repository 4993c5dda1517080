"""The data set and the model that show published representations to every command; nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from attrs.validators import ge, optional

from widenet import Dataset, Model, UsageError, opt

if TYPE_CHECKING:
    from torch import nn

    from widenet.data import Data


@attrs.frozen(kw_only=True)
class Choice:
    """Which of several published sets in one folder is meant."""

    net: str | None = opt(None, "Network of the set, as its files are named, where the folder has several.")
    width: int | None = opt(None, "Width of the set's layer, where the folder has several.", validator=optional(ge(1)))
    label: str | None = opt(None, "Recipe of the set, as in the files' names from `ep` on, where the folder has several.")


@attrs.frozen(kw_only=True)
class Representations(Choice):
    """Options of representations."""

    path: Path = opt(help="Folder of the published files features_NET_WIDTH_LABEL_train.pt and so on, at any depth.")


@attrs.frozen(kw_only=True)
class ReadOut(Choice):
    """Options of read-out."""

    path: Path | None = opt(None, "Folder of published files whose trained weights the layer takes; without it, fresh ones.")


def representations(root: Path, config: Representations) -> Data:
    """Representations of images by a published network: its features as inputs, for the model read-out."""
    from widenet_redundant_repr import published

    return published.data(config.path, config.net, config.width, config.label)


def read_out(shape: Sequence[int], classes: int, config: ReadOut) -> nn.Module:
    """The linear layer that ends a network, alone: for inputs that are representations."""
    if len(shape) != 1:
        raise UsageError(
            f"read-out needs vectors, this data set has inputs of shape {tuple(shape)}: choose the data set representations"
        )
    from widenet_redundant_repr import published

    return published.network(shape[0], classes, config.path, config.net, config.width, config.label)


DATASETS = (Dataset("representations", representations, Representations),)
"""Every data set of the plugin."""
MODELS = (Model("read-out", read_out, ReadOut),)
"""The network for them."""
