"""Tensors on disk: written whole, read without ever running code from the file."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from widenet.errors import WnError
from widenet.files import whole

CODE = re.compile(r"GLOBAL|Can only (create|build)|reduce for unrecognized")
"""What torch says of a file that asks for more than plain containers of tensors."""
PICKLE = b"\x80"
"""How a bare pickle starts, which torch stops reading at the first instruction that it does not know."""


def save_tensors(path: Path, content: Any) -> None:
    """Write tensors, and plain containers of them, with ``torch.save``.

    Raises:
        WnError: the disk is full or the folder may not be written; an older file stays as it was.
    """
    import torch

    with whole(path) as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            raise _cause(error) from None


def _cause(error: BaseException) -> BaseException:
    """What stopped a write (a full disk, a signal): torch reports it as a RuntimeError of its own."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def load_tensors(path: Path) -> Any:
    """Read such a file onto the CPU, with ``weights_only=True``.

    Raises:
        WnError: no such file, a file that wants to run code, or one that is damaged.
    """
    import torch

    if not path.is_file():
        raise WnError(f"there is no {path}; the run did not get that far, or saves none")
    try:
        with warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except WnError:  # a signal to stop
        raise
    except Exception as error:  # damage can make torch raise nearly anything
        if CODE.search(str(error)) or path.read_bytes()[:1] == PICKLE:
            raise WnError(
                f"{path} wants to run code while loading and was refused; load it where you trust it and save it again "
                "as a plain dict of tensors: torch.save(module.state_dict(), FILE)"
            ) from error
        raise WnError(f"{path} is no readable torch file (truncated?); repeat the run with --fresh") from error
