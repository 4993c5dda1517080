"""Tensors on disk: written whole, read without ever running code from the file."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from widenet.errors import WnError
from widenet.files import whole


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
            # torch reports a failed write of its own; the cause is the OSError of our file.
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None


def load_tensors(path: Path) -> Any:
    """Read such a file onto the CPU, with ``weights_only=True``.

    Raises:
        WnError: no such file, a file that wants to run code, or one that is damaged.
    """
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WnError(f"there is no {path}; the run did not get that far, or saves none") from None
    except pickle.UnpicklingError as error:
        if "Unsupported" in str(error) or "GLOBAL" in str(error):
            raise WnError(
                f"{path} wants to run code while loading and was refused; load it where you trust it and save it again "
                "as a plain dict of tensors: torch.save(module.state_dict(), FILE)"
            ) from error
        raise _damaged(path) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> WnError:
    return WnError(f"{path} is no readable torch file (truncated?); repeat the run with --fresh")
