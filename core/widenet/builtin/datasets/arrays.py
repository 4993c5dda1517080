"""Arrays of a NumPy ``.npz`` file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from widenet.builtin.datasets.statistics import Normalised, given
from widenet.data import Data, Images, channel_statistics
from widenet.errors import UsageError

KEYS = ("x_train", "y_train", "x_test", "y_test")


def load(path: Path, augment: bool, statistics: Normalised | None = None) -> Data:
    """Return the arrays ``x_train, y_train, x_test, y_test`` of ``path`` as a data set.

    Images are uint8 or float ``(N, H, W)`` or ``(N, H, W, C)``, normalised by the ``statistics``, of the training ones unless
    told otherwise; floats of any other shape are kept as they are. Labels are integers from 0. Anything else raises
    :class:`UsageError`.
    """
    path = path.expanduser()
    arrays = _read(path)
    try:
        x, x_test = _inputs("x_train", arrays), _inputs("x_test", arrays)
        y, y_test = _labels("y_train", arrays, len(x)), _labels("y_test", arrays, len(x_test))
        classes = int(y.max()) + 1
        if x.shape[1:] != x_test.shape[1:] or x.dtype != x_test.dtype:
            raise UsageError("x_train and x_test differ in type or shape; store both alike")
        if y_test.max() >= classes:
            raise UsageError(f"y_test has label {y_test.max()}, y_train only 0 to {classes - 1}; correct the labels")
        if augment and x.ndim != 4:
            raise UsageError(f"inputs of shape {tuple(x.shape[1:])} are no images to augment; leave out augment")
        fixed = given(statistics, tuple(x.shape[1:])) if statistics else None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    mean, std = fixed or (channel_statistics(x) if x.ndim == 4 else ((), ()))
    pad = min(x.shape[2:]) // 8 if augment else 0
    train, test = Images(x, y, mean, std, pad, flip=augment), Images(x_test, y_test, mean, std)
    return Data("npz", train, test, tuple(x.shape[1:]), classes)


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise UsageError(f"no file {path}; give the path of an .npz file")
    if not zipfile.is_zipfile(path):
        raise UsageError(f"{path} is not an .npz file, or not a whole one; write it with numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as file:
            if missing := [key for key in KEYS if key not in file]:
                raise UsageError(f"{path} lacks {', '.join(missing)}; it must hold {', '.join(KEYS)}")
            return {key: np.asarray(file[key]) for key in KEYS}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if "allow_pickle" in str(error):
            raise UsageError(f"{path} holds Python objects, which could run code; store plain numbers") from None
        raise UsageError(f"{path} is damaged ({error}); write it again with numpy.savez") from None


def _inputs(key: str, arrays: dict[str, np.ndarray]) -> Tensor:
    """Return the inputs, channels first: uint8 (N, C, H, W) or float32 (N, ...)."""
    x = arrays[key]
    images = x.ndim in (3, 4)
    if not (x.dtype == np.uint8 and images) and not (x.dtype.kind == "f" and x.ndim >= 2):
        need = "uint8 or float images (N, H, W) or (N, H, W, C), or float vectors (N, D)"
        raise UsageError(f"{key} is {x.dtype} of shape {x.shape}; store {need}")
    if not x.size:
        raise UsageError(f"{key} of shape {x.shape} is empty; store at least one sample")
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] > 4:
        raise UsageError(f"{key} of shape {x.shape} has its channels first; store (N, H, W, C)")
    if x.dtype != np.uint8:
        with np.errstate(over="ignore"):  # what does not fit float32 is refused below
            x = x.astype(np.float32)
        if not np.isfinite(x).all():
            raise UsageError(f"{key} holds numbers that are infinite or undefined in float32; replace them")
    x = x[..., None] if x.ndim == 3 else x
    return torch.from_numpy(x).movedim(-1, 1) if images else torch.from_numpy(x)


def _labels(key: str, arrays: dict[str, np.ndarray], count: int) -> Tensor:
    """Return the labels, int64 (N,)."""
    y = arrays[key]
    if y.dtype.kind not in "iu" or (y.ndim != 1 and y.shape[1:] != (1,)):
        raise UsageError(f"{key} is {y.dtype} of shape {y.shape}; store one integer per sample")
    if len(y) != count:
        raise UsageError(f"{key} has {len(y)} labels for {count} samples; store one integer per sample")
    if y.min() < 0 or y.max() > np.iinfo(np.int32).max:
        raise UsageError(f"{key} has labels from {y.min()} to {y.max()}; number the classes from 0")
    return torch.from_numpy(y.astype(np.int64).reshape(-1))
