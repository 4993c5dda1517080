"""Tensors on disk: written whole, read without ever running code from the file."""

from __future__ import annotations

import importlib
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widenet.errors import UsageError, WnError
from widenet.files import whole

if TYPE_CHECKING:
    from torch import Tensor

CODE = re.compile(r"GLOBAL|Can only (create|build)|reduce for unrecognized")
"""What torch says of a file that asks for more than plain containers of tensors."""
PICKLE = b"\x80"
"""How a bare pickle starts, which torch stops reading at the first instruction that it does not know."""
STATES = ("state_dict", "model_state_dict", "model")
"""Names under which training scripts save a state dict beside other things."""
PREFIXES = ("module.", "_orig_mod.")
"""What data parallel training and ``torch.compile`` put before all names."""


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
    if not path.is_file():
        raise WnError(f"there is no {path}; the run did not get that far, or saves none")
    return read_torch(path, WnError, "repeat the run with --fresh")


def read_torch(path: Path, kind: type[WnError], remedy: str) -> Any:
    """What ``torch.save`` wrote, on the CPU; where it cannot be read raises ``kind``, for damage with the ``remedy``.

    Beside tensors and plain containers it may hold NumPy's scalars, as training scripts keep their accuracies.
    """
    try:
        return _load(path)
    except WnError:  # a signal to stop
        raise
    except Exception as error:  # damage can make torch raise nearly anything
        if CODE.search(str(error)) or path.read_bytes()[:1] == PICKLE:
            raise kind(
                f"{path} wants to run code while loading and was refused; load it where you trust it and save it again "
                "as a plain dict of tensors: torch.save(module.state_dict(), FILE)"
            ) from error
        raise kind(f"{path} is no readable torch file (truncated?); {remedy}") from error


def _load(path: Path) -> Any:
    """``torch.load`` that runs no code, and permits NumPy's scalars only to a file that needs them."""
    import torch

    with warnings.catch_warnings(action="ignore"):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            if not CODE.search(str(error)):
                raise
        with torch.serialization.safe_globals(_scalars()):
            return torch.load(path, map_location="cpu", weights_only=True)


def _scalars() -> list[Any]:
    """What a pickled NumPy scalar is rebuilt by; none of it can run code from a file."""
    import _codecs

    import numpy as np

    # NumPy 2 moved the module, and each version writes its own name; torch goes by the names that functions bear.
    named = [_alias(np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray") for core in ("core", "_core")]
    plain = {type(np.dtype(code)) for code in np.typecodes["All"] if code not in "OV"}
    return [*named, np.dtype, _codecs.encode, *plain]


def _alias(function: Any, module: str) -> Any:
    """The function as if it had been defined in ``module``."""

    def alias(*arguments: Any) -> Any:
        return function(*arguments)

    alias.__module__, alias.__qualname__ = module, function.__name__
    return alias


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a file from anywhere, on the CPU; those of :data:`PREFIXES` that all names share are taken off.

    It is the whole file, of ``torch.save`` or ``.safetensors``, or what lies in it under one of :data:`STATES`, and the
    tensors beside that.

    Raises:
        UsageError: no such file, one that is damaged or wants to run code, or no tensors by name, or without values, in it.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    safe = path.suffix == ".safetensors"
    content = _safetensors(path) if safe else read_torch(path, UsageError, "get it once more from where it came from")
    parts: dict[Any, Any] = content if isinstance(content, dict) else {}
    whole = next((parts[name] for name in STATES if isinstance(parts.get(name), dict)), parts)
    tensors = _tensors(whole)
    if not tensors:
        raise UsageError(f"{path} holds no state dict, which is tensors by name, nor one under {', '.join(STATES)}")
    while shared := next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in tensors)), ""):
        tensors = {name.removeprefix(shared): value for name, value in tensors.items()}
    tensors |= _tensors(parts) if whole is not parts else {}  # those that lie beside the state dict
    if hollow := [name for name, value in tensors.items() if value.is_meta]:
        raise UsageError(f"{path} has a shape for {hollow[0]} but no values; save the module once its weights are there")
    return {name: _dense(value) for name, value in tensors.items()}


def _tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    import torch

    return {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, torch.Tensor)}


def _dense(value: Tensor) -> Tensor:
    """The tensor as one number after the other, which quantised and sparse ones are not."""
    import torch

    plain = value.dequantize() if value.is_quantized else value
    return plain if plain.layout == torch.strided else plain.to_dense()


def _safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a ``.safetensors`` file.

    Raises:
        UsageError: the package that reads it is not installed, or the file is damaged.
    """
    try:
        reader = importlib.import_module("safetensors.torch")
    except ImportError:
        raise UsageError(f"{path} needs a package that is not installed: pip install safetensors") from None
    try:
        tensors: dict[str, Tensor] = reader.load_file(path)
        return tensors
    except WnError:  # a signal to stop
        raise
    except Exception as error:  # its own kind of error, which may change
        raise UsageError(f"{path} is no readable safetensors file (truncated?); get it once more") from error
