"""The options of commands that choose an engine, and the engine that they mean."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from widenet.cli.common import Sectioned
from widenet.engines import Engine
from widenet.errors import UsageError

ENGINE = ("launch", "jobs", "scheduler", "slurm")
"""Options that choose one."""
LAUNCHES = ("local", "slurm", "dask", "print")


def engine_options(launches: Sequence[str] = LAUNCHES) -> list[click.Option]:
    """The options that choose one of these engines."""
    printed = "; print only prints a command a line" if "print" in launches else ""
    launch = f"Processes here, a job array of Slurm, a dask cluster{printed}."
    return [
        Sectioned(["--jobs", "-j"], metavar="INT", type=click.IntRange(1), help="Runs at a time.  [default: a core each]"),
        Sectioned(["--launch"], type=click.Choice(launches), default="local", show_default=True, help=launch),
        Sectioned(["--scheduler"], metavar="tcp://HOST:PORT", help="Of dask."),
        Sectioned(
            ["--slurm"],
            metavar="KEY=VALUE",
            multiple=True,
            help="An option of sbatch, as partition=long or time=60 (minutes); repeatable.",
        ),
    ]


def engine(runs_dir: Path, *, launch: str, jobs: int | None, scheduler: str | None, slurm: Iterable[str]) -> Engine:
    """The engine that the options mean.

    Raises:
        UsageError: they contradict one another, or a text of ``slurm`` is no ``KEY=VALUE``.
    """
    if (scheduler is not None) != (launch == "dask"):
        raise UsageError("--launch dask and --scheduler go together; give both or neither")
    if (given := _pairs(slurm)) and launch != "slurm":
        raise UsageError("--slurm is for --launch slurm; add that, or leave it out")
    if launch == "dask":
        from widenet.engines import dask

        return functools.partial(dask.commands, scheduler=scheduler or "")
    if launch == "slurm":
        from widenet.engines import slurm as cluster

        parameters = given | ({"array_parallelism": jobs} if jobs else {})
        return functools.partial(cluster.commands, folder=runs_dir / ".sweeps", parameters=parameters)
    from widenet.data import PROCESSORS
    from widenet.engines import local

    return functools.partial(local.commands, jobs=jobs or PROCESSORS)


def _pairs(texts: Iterable[str]) -> dict[str, Any]:
    pairs = [text.partition("=") for text in texts]
    if odd := next((key for key, sign, _ in pairs if not sign), None):
        raise UsageError(f"--slurm {odd}: write KEY=VALUE, as in --slurm partition=long")
    return {key: value for key, _, value in pairs}
