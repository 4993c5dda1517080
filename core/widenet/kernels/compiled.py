"""Forms of a kernel that need more than PyTorch, looked up by name."""

import functools
import importlib
from typing import Any


@functools.cache
def compiled(name: str, package: str = "widenet.kernels") -> Any:
    """The module of that name beside this one, or in a plugin's package, or None where what it needs is not there or fits not.

    numba refuses a NumPy newer than itself, and a machine on which it finds no place for its cache.
    """
    try:
        return importlib.import_module(f"{package}.{name}")
    except (ImportError, RuntimeError):
        return None
