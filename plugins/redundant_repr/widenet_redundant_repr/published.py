"""The representations that the paper's authors published, read without running code from their files.

A set is of one network, width W and label (its recipe and seed): ``features_{net}_{W}_{label}_{train|test}.pt``,
``weights_{net}_{W}_{label}.pt``, ``bias_{net}_{W}_{label}.pt``, and the labels ``*_labels_{training|test}_set.pt``; NumPy files
with results of the authors' scripts and the accuracies of ensembles may lie with them.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
from torch import Tensor, nn

from widenet.data import Data, Images
from widenet.errors import UsageError
from widenet.weights import read_torch

NAME = re.compile(r"features_(.+)_(\d+)_(ep\d.*)_(?:train|test)\.pt")
RESULTS = ("acc_chunk_", "r2_", "mean_corr_")
"""How the names of result files begin: float64 (2, sizes), the sizes and the means over chunks."""
AGAIN = "get it once more from where it came from"


@attrs.frozen(order=True)
class Set:
    """Which files belong together: those of one network, width and label, anywhere below the folder."""

    folder: Path
    net: str
    width: int
    label: str

    def file(self, pattern: str) -> Path:
        """The one file of this name, in which ``{}`` stands for the set's; :class:`UsageError` unless there is just one."""
        name = pattern.format(f"{self.net}_{self.width}_{self.label}")
        if not (found := sorted(self.folder.rglob(name))):
            raise UsageError(f"{self.folder} lacks {name}; put all files of the published set there")
        if len(found) > 1:
            raise UsageError(f"{found[0]} and {found[1]} are both {name}; keep one of them")
        return found[0]


@attrs.frozen(eq=False)
class Published:
    """A published set: features float32 (N, W), labels int64 (N,), and the read-out's float32 weight (C, W) and bias (C,).

    ``ensemble_accuracy`` is a fraction, from the first element of an ensemble's file, or None without one; ``results`` has the
    arrays of the authors' result files by their names without ``.npy``.
    """

    features_train: Tensor = attrs.field(repr=False)
    features_test: Tensor = attrs.field(repr=False)
    labels_train: Tensor = attrs.field(repr=False)
    labels_test: Tensor = attrs.field(repr=False)
    weight: Tensor = attrs.field(repr=False)
    bias: Tensor = attrs.field(repr=False)
    label: str
    net: str
    width: int
    ensemble_accuracy: float | None
    results: dict[str, np.ndarray] = attrs.field(repr=False)


def find_set(folder: Path, net: str | None = None, width: int | None = None, label: str | None = None) -> Set:
    """The set that lies below ``folder``; name its network, width or label where there are several.

    Raises:
        UsageError: there is none, or more than one.
    """
    names = (NAME.fullmatch(path.name) for path in folder.expanduser().rglob("features_*.pt"))
    sets = {Set(folder.expanduser(), match[1], int(match[2]), match[3]) for match in names if match}
    asked = (net, width, label)
    chosen = [s for s in sorted(sets) if all(a in (None, b) for a, b in zip(asked, (s.net, s.width, s.label), strict=True))]
    if not chosen:
        have = f" only {_names(sorted(sets))}" if sets else " no features_NET_WIDTH_epLABEL_train.pt"
        raise UsageError(f"{folder} has{have}; give the folder of a published set, and the net, width and label of its files")
    if len(chosen) > 1:
        raise UsageError(f"{folder} has several published sets, {_names(chosen)}; choose by net, width or label")
    return chosen[0]


def read_set(folder: Path, net: str | None = None, width: int | None = None, label: str | None = None) -> Published:
    """Read the set of :func:`find_set`, checked.

    Raises:
        UsageError: as there, or a file that is missing, damaged, wants to run code, or does not fit the others.
    """
    chosen = find_set(folder, net, width, label)
    weight, bias = read_out(chosen)
    splits = [_split(chosen, features, labels, len(weight)) for features, labels in (("train", "training"), ("test", "test"))]
    (x_train, y_train), (x_test, y_test) = splits
    results = {path.stem: _array(path) for path in sorted(chosen.folder.rglob("*.npy")) if path.name.startswith(RESULTS)}
    about = (chosen.label, chosen.net, chosen.width)
    return Published(x_train, x_test, y_train, y_test, weight, bias, *about, read_ensemble(chosen), results)


def read_out(chosen: Set) -> tuple[Tensor, Tensor]:
    """The trained weights (C, W) and bias (C,), float32, of a set.

    Raises:
        UsageError: a file is missing, damaged, wants to run code, or has not this shape.
    """
    weight = _floats(chosen.file("weights_{}.pt"), (None, chosen.width))
    return weight, _floats(chosen.file("bias_{}.pt"), (len(weight),))


def data(folder: Path, net: str | None, width: int | None, label: str | None) -> Data:
    """A set as a data set of inputs (W,); raises as :func:`read_set`."""
    found = read_set(folder, net, width, label)
    train, test = Images(found.features_train, found.labels_train), Images(found.features_test, found.labels_test)
    return Data("representations", train, test, (found.width,), len(found.weight))


def network(
    width: int, classes: int, folder: Path | None, net: str | None, layer: int | None, label: str | None
) -> nn.Sequential:
    """``features``, which changes nothing, and ``fc``, linear: with a set's trained weights, or fresh ones without a folder.

    Raises:
        UsageError: as :func:`read_out`, or the weights are for inputs (W,) or classes other than these.
    """
    fc = nn.Linear(width, classes)
    if folder is not None:
        weight, bias = read_out(find_set(folder, net, layer, label))
        if weight.shape != (classes, width):
            shapes = f"(classes, width) {tuple(weight.shape)}, the data {(classes, width)}"
            raise UsageError(f"the read-out in {folder} is for {shapes}; take both from one set")
        fc.load_state_dict({"weight": weight, "bias": bias})
    return nn.Sequential(OrderedDict(features=nn.Identity(), fc=fc))


def _names(sets: Sequence[Set]) -> str:
    return ", ".join(f"{s.net} of width {s.width} ({s.label})" for s in sets)


def _split(chosen: Set, features: str, labels: str, classes: int) -> tuple[Tensor, Tensor]:
    """The features float32 (N, W) and labels int64 (N,) of a split."""
    x = _floats(chosen.file("features_{}_" + features + ".pt"), (None, chosen.width))
    path = chosen.file(f"*_labels_{labels}_set.pt")
    y = _tensor(path)
    if y.is_floating_point() or y.shape != (len(x),):
        raise UsageError(f"{path} is {y.dtype} of shape {tuple(y.shape)}; it must hold an integer for each of {len(x)} samples")
    least, most = int(y.min()), int(y.max())
    if least < 0 or most >= classes:
        raise UsageError(f"{path} has labels {least} to {most}, the read-out {classes} classes; take the files of one set")
    return x, y.long()


def _tensor(path: Path) -> Tensor:
    value = read_torch(path, UsageError, AGAIN)
    if not isinstance(value, Tensor) or not value.numel():
        raise UsageError(f"{path} holds no tensor with numbers in it; {AGAIN}")
    return value.detach()


def _floats(path: Path, shape: tuple[int | None, ...]) -> Tensor:
    """A tensor of this shape, None for any length, as float32."""
    value = _tensor(path)
    fits = len(shape) == value.ndim and all(n in (None, m) for n, m in zip(shape, value.shape, strict=True))
    if not fits or not value.is_floating_point() or not value.isfinite().all():
        wanted = "(" + ", ".join("N" if n is None else str(n) for n in shape) + ")"
        raise UsageError(f"{path} is {value.dtype} of shape {tuple(value.shape)}; it must hold finite floats of shape {wanted}")
    return value.float().contiguous()


def read_ensemble(chosen: Set) -> float | None:
    """The first accuracy in the file of this set's ensemble, whose name has no seed in it."""
    recipe = chosen.label.partition("_seed")[0]
    pattern = f"ensamble_averages_{chosen.net}_{chosen.width}_{recipe}_*.npy"
    return float(_array(chosen.file(pattern)).flat[0]) if any(chosen.folder.rglob(pattern)) else None


def _array(path: Path) -> np.ndarray:
    try:
        value = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        if "allow_pickle" in str(error):
            raise UsageError(f"{path} holds Python objects, which could run code; store plain numbers") from None
        raise UsageError(f"{path} is damaged ({error}); {AGAIN}") from None
    if not isinstance(value, np.ndarray) or not value.size or value.dtype.kind not in "fiu":
        raise UsageError(f"{path} holds no numbers; {AGAIN}")
    return value
