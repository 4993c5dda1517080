"""Which of the processes that torchrun started this one is, by the environment: torch is not needed to ask."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

STARTED = {"WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}
"""What torchrun tells every process; a cluster's scheduler may set some of these names for its own ends."""


def count() -> int:
    """How many processes carry out the run together."""
    return int(os.environ["WORLD_SIZE"]) if os.environ.keys() >= STARTED else 1


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def local() -> int:
    """Its number on this machine, from 0: that of its GPU."""
    return int(os.environ["LOCAL_RANK"]) if count() > 1 else 0


def leading() -> bool:
    """Whether this process is the one that writes the run's folder and speaks to the user."""
    return rank() == 0


@contextlib.contextmanager
def one_voice() -> Iterator[None]:
    """Let only the leading process print; failures of the others, which are raised, can still be told."""
    if leading():
        yield
        return
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield
