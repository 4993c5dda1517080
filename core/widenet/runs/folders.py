"""Where runs live: a folder's name is a function of what is run, so that the same command finds its own results."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from widenet.errors import UsageError, WnError
from widenet.options import digest, nearest
from widenet.runs.lock import locked
from widenet.runs.run import Run

METRICS = "metrics.jsonl"
"""The file of a run that grows in place."""


def folder(root: Path, identity: dict[str, Any], seed: int) -> Path:
    """``root/<method>-<arch>-<dataset>-<hash>/seed-<n>``.

    ``identity`` holds the full names of method, arch and dataset, and of each the options that differ from their defaults; the
    hash is the first eight hex digits of SHA-256 over its canonical JSON. An option that is added later, with a default that
    changes nothing, leaves every old name valid.
    """
    names = [identity[kind]["name"].partition("/")[2] for kind in ("method", "arch", "dataset")]
    return root / "-".join([*names, digest(identity)]) / f"seed-{seed}"


def find(text: str, root: Path) -> Path:
    """The run a user means by a path, by a name below ``root``, or by a folder that holds one seed.

    Raises:
        UsageError: no such run (with the nearest), or a folder with several seeds.
    """
    for path in (Path(text), root / text):
        try:
            if (path / "run.json").is_file():
                return path
            seeds = sorted(path.glob("seed-*/run.json")) if path.is_dir() else []
        except OSError as error:  # a name too long, a folder that may not be read
            raise UsageError(f"cannot look for a run in {path} ({error.strerror})") from None
        if len(seeds) == 1:
            return seeds[0].parent
        if seeds:
            raise UsageError(f"{path} holds {len(seeds)} runs; name one: {', '.join(s.parent.name for s in seeds)}")
    known = [f"{path.parent.parent.name}/{path.parent.name}" for path in root.glob("*/seed-*/run.json")]
    hint = nearest(text, [*known, *(name.partition("/")[0] for name in known)])
    raise UsageError(f"there is no run {text!r}{hint or f'; `wn runs` lists those in {root}'}")


def listing(root: Path) -> list[Run]:
    """All runs below ``root``, oldest first; one whose writer died is shown as ``partial``, a damaged one as ``damaged``."""
    runs = []
    for path in root.glob("*/seed-*/run.json"):
        try:
            run = Run.open(path.parent)
        except WnError:
            run = Run(path.parent, {"status": "damaged", "started": ""})
        runs.append(as_it_stands(run))
    return sorted(runs, key=lambda run: (run.record["started"], run.name))


def as_it_stands(run: Run) -> Run:
    """The run, shown as ``partial`` where its record says ``running`` but its writer has died."""
    if run.record["status"] == "running" and not locked(run.path):
        run.record["status"] = "partial"
    return run


def twin(path: Path, root: Path) -> Path:
    """A folder of the run's name below ``root``, for a process that must not write in ``path``: links to the files there.

    Files that are replaced as a whole leave what the link led to as it was; the metrics, which grow, are a copy.
    """
    made = root / path.parent.name / path.name
    made.mkdir(parents=True)
    for file in path.rglob("*"):
        if file.is_file() and file.name not in ("log.txt", METRICS) and file.suffix != ".part":
            link = made / file.relative_to(path)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.absolute())
    if (path / METRICS).exists():
        shutil.copy(path / METRICS, made)
    return made


def set_aside(path: Path) -> Path:
    """Move a run's folder out of the way (``--fresh``); returns where it went."""
    number = 1
    while (target := path.with_name(f"old-{number}-{path.name}")).exists():
        number += 1
    path.rename(target)
    return target
