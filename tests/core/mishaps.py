"""What can be wrong with an input: a table's entry, and what is done to a folder of runs before its command."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from widenet.store import read_arrays, write_arrays

TINY = "--dataset tiny --threads 1 --batch-size 64 --epochs 2"


@attrs.frozen
class Bad:
    """A command, the exit code and the words it must get, and what is done to the folder before.

    In the command ``{S}`` stands for the path of a run and ``{make S}`` for the words that made it.
    """

    command: str
    code: int
    said: tuple[str, ...]
    before: Callable[..., None] | None = None
    adds: bool = False
    """Whether the failure itself is recorded below ``runs``."""


def bad(command: str, code: int, *said: str, before: Callable[..., None] | None = None, adds: bool = False):
    what = command.replace(TINY, "...") + (f" [{before.__name__}]" if before else "")
    return pytest.param(Bad(command, code, said, before, adds), id=what)


# -- what is done to the folder before ---------------------------------------------------------------------------------


def toml(content):
    def write(runs):
        Path("options.toml").write_bytes(content.encode() if isinstance(content, str) else content)

    write.__name__ = repr(content)
    return write


def npz(**arrays):
    """A data set file; ``None`` leaves an array out."""

    def write(runs):
        x = np.zeros((4, 8, 8), np.uint8)
        content = {"x_train": x, "y_train": np.arange(4), "x_test": x, "y_test": np.arange(4), **arrays}
        np.savez("data.npz", **{key: value for key, value in content.items() if value is not None})

    write.__name__ = f"npz({', '.join(arrays)})"
    return write


def short_npz(runs):
    npz()(runs)
    truncate(Path("data.npz"))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def truncated(run, name):
    def change(runs):
        truncate(runs[run] / name)

    change.__name__ = f"half of {name}"
    return change


def filled(run, name, content):
    def change(runs):
        (runs[run] / name).write_bytes(content)

    change.__name__ = f"{name} is {content[:20]!r}"
    return change


def removed(run, name):
    def change(runs):
        (runs[run] / name).unlink()

    change.__name__ = f"no {name}"
    return change


class Evil:
    """Makes a file when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch evil-was-here",)


def evil(run, name, write):
    def change(runs):
        write(runs[run] / name)

    change.__name__ = f"{name} by {write.__name__}"
    return change


def pickled(path):
    path.write_bytes(pickle.dumps({"weights": Evil()}))


def saved(path):
    torch.save({"linear.0.weight": Evil()}, path)


def saved_long_ago(path):
    torch.save(Evil(), path, _use_new_zipfile_serialization=False)


def tensors(run, name, content):
    def change(runs):
        torch.save(content, runs[run] / name)

    change.__name__ = f"{name} holds {content}"
    return change


def masks(**changes):
    """Masks with other layers or shapes; keys have ``_`` for the dot."""

    def change(runs):
        path = runs["S"] / "masks" / "final.h5"
        content = read_arrays(path)
        for key, shape in changes.items():
            content[key.replace("_", ".")] = np.ones(shape, bool)
        write_arrays(path, content, {})

    change.__name__ = f"masks {changes}"
    return change


def second_seed(runs):
    shutil.copytree(runs["T"], runs["T"].with_name("seed-1"))


def a_file(runs):
    Path("file").write_text("")


def a_folder(runs):
    Path("folder").mkdir()
