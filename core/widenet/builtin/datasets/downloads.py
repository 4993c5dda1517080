"""MNIST and CIFAR, downloaded by torchvision and kept in memory."""

from __future__ import annotations

import contextlib
import socket
import sys
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
import torchvision
from filelock import FileLock

from widenet.data import Data, Images
from widenet.errors import WnError

PATIENCE = 30.0
"""Seconds without a byte after which a download has failed."""

BY_HAND = {
    "mnist": "MNIST/raw/*.gz",
    "cifar10": "cifar-10-python.tar.gz",
    "cifar100": "cifar-100-python.tar.gz",
}
"""What torchvision takes instead of a download, under its root."""

CIFAR = {
    "cifar10": ("CIFAR10", (0.491, 0.482, 0.447), (0.247, 0.243, 0.262)),
    "cifar100": ("CIFAR100", (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


def mnist(root: Path) -> Data:
    """Return MNIST, kept under ``root/MNIST``. Raises :class:`WnError` if neither there nor to be had."""
    train, test = _splits("mnist", torchvision.datasets.MNIST, root)
    mean, std = (0.1307,), (0.3081,)
    parts = [Images(part.data[:, None], torch.as_tensor(part.targets), mean, std) for part in (train, test)]
    return Data("mnist", parts[0], parts[1], (1, 28, 28), 10, class_names=tuple("0123456789"))


def cifar(name: str, root: Path, augment: bool, border: Literal["black", "reflect"] = "black") -> Data:
    """Return CIFAR-10 or CIFAR-100, kept under ``root``. Raises :class:`WnError` if neither there nor to be had."""
    kind, mean, std = CIFAR[name]
    train, test = _splits(name, getattr(torchvision.datasets, kind), root)
    names = tuple(train.classes)
    parts = [
        Images(torch.from_numpy(part.data).movedim(-1, 1), torch.tensor(part.targets), mean, std, pad, flip, border)
        for part, pad, flip in ((train, 4 * augment, augment), (test, 0, False))
    ]
    return Data(name, parts[0], parts[1], (3, 32, 32), len(names), class_names=names)


def _splits(name: str, kind: Any, root: Path) -> tuple[Any, Any]:
    """Return torchvision's training and test parts, downloaded on first use."""
    try:
        with _quiet():
            try:
                return kind(root, train=True), kind(root, train=False)
            except RuntimeError:  # not there, or not whole; the lock lets one of several runs fetch it
                root.mkdir(parents=True, exist_ok=True)
                with FileLock(root / f".{name}.lock"):
                    return kind(root, train=True, download=True), kind(root, train=False)
    except WnError:  # a signal to stop
        raise
    except Exception as error:  # torchvision lets through what urllib, tarfile, pickle and the disk raise
        reason = textwrap.shorten(str(error), 160, placeholder="...") or type(error).__name__
        raise WnError(
            f"cannot load {name}: {reason}; put {BY_HAND[name]} into {root} (set by --data-dir) in place of what is "
            "there, or use --dataset digits, which needs no download"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep torchvision's talk off stdout, hide warnings (NumPy's of CIFAR's old pickles), let no connection hang."""
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings(action="ignore"):
            yield
    finally:
        socket.setdefaulttimeout(patience)
