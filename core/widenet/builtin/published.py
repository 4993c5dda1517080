"""Weights that torchvision publishes: found by name, downloaded once, held against the hash in their file's name."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from filelock import FileLock

from widenet.builtin.models import IMAGENET
from widenet.errors import UsageError, WnError
from widenet.files import sha256
from widenet.options import nearest

PREFIX = "torchvision:"
"""How ``--weights`` begins where they come from there."""
PATIENCE = 30.0
"""Seconds without a byte after which a download has failed."""
BLOCK = 2**20
HASH = re.compile(r"-([0-9a-f]{8,})\.")
AUXILIARY = ("aux1.*", "aux2.*", "AuxLogits.*")
"""Tensors in published files of the classifiers that only training needs, which our networks are built without."""


def fetched(run: Any, weights: str) -> tuple[Path, str]:
    """The file that ``--weights`` means, and the address that it was downloaded from, empty of a file of the user's own.

    Raises:
        UsageError: torchvision publishes no such weights, or none of this architecture.
        WnError: they cannot be downloaded.
    """
    if not weights.startswith(PREFIX):
        return Path(weights), ""
    url = _published(run.record["arch"], weights.removeprefix(PREFIX)).url
    return download(url, run.data_dir / "weights", run.reporter.work), url


def _published(arch: dict[str, Any], name: str) -> Any:
    """Torchvision's entry for these weights of a recorded architecture.

    Raises:
        UsageError: there is none.
    """
    from torchvision.models import get_model_weights

    own = arch["name"].removeprefix("core/")
    network = arch["options"]["name"] if own == "torchvision" else own
    if arch["name"] != f"core/{own}" or own not in (*IMAGENET, "torchvision"):
        raise UsageError(
            f"torchvision publishes no weights of {arch['name']}; it does of {', '.join(IMAGENET)}, and of all its others "
            "by --arch torchvision:name=NAME"
        )
    known = get_model_weights(network).__members__
    if name not in known:
        raise UsageError(f"torchvision has no weights {name!r} of {network}; known: {', '.join(known)}{nearest(name, known)}")
    return known[name]


def download(url: str, folder: Path, work: Callable[[str, int, int], None]) -> Path:
    """The file at ``url``, from ``folder`` if it is there; ``work`` hears of the bytes as they come.

    Raises:
        WnError: it cannot be had, or is not what the hash in its name says.
    """
    file = folder / PurePosixPath(urlsplit(url).path).name
    if _right(file, file.name):
        return file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{file.name}.lock"):  # of several runs, one fetches it
            if not _right(file, file.name):
                _fetch(url, file, work)
    except (OSError, HTTPException) as error:
        reason = textwrap.shorten(str(error), 160, placeholder="...") or type(error).__name__
        raise WnError(
            f"cannot download {url}: {reason}; put {file.name} into {folder} (set by --data-dir), or give --weights FILE"
        ) from error
    return file


def _right(file: Path, name: str) -> bool:
    """Whether the file is there, and its SHA-256 begins as ``name`` says."""
    stated = HASH.search(name)
    return file.is_file() and (stated is None or sha256(file).startswith(stated[1]))


def _fetch(url: str, file: Path, work: Callable[[str, int, int], None]) -> None:
    """Write the file under its name once all of it is there and right."""
    part = file.with_name(f"{file.name}.part")
    try:
        with urlopen(Request(url, headers={"User-Agent": "widenet"}), timeout=PATIENCE) as answer, part.open("wb") as target:
            total, done = answer.length or 0, 0
            while block := answer.read(BLOCK):
                done += target.write(block)
                work(f"downloading {file.name}", done, max(total, done))
        if not _right(part, file.name):
            raise OSError("its hash is not the one in its name, so it came damaged or has been replaced")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
