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
PARTS = ("weights", "masks", METRICS, "checkpoint.pt", "analyses")
"""What a folder that was a run may still have when its record is gone."""


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
    found = find_all(text, root)
    if len(found) > 1:
        raise UsageError(f"{found[0].parent} holds {len(found)} runs; name one: {', '.join(path.name for path in found)}")
    return found[0]


def find_all(text: str, root: Path) -> list[Path]:
    """The run a user means by a path or by a name below ``root``, or all runs of a folder that holds several seeds.

    Raises:
        UsageError: no such run (with the nearest).
    """
    rests = {}
    for path in (Path(text), root / text):
        try:
            if (path / "run.json").is_file():
                return [path]
            seeds = sorted(path.glob("seed-*/run.json"), key=_number) if path.is_dir() else []
            rests[path] = _rest(path) if path.is_dir() else []
        except OSError as error:  # a name too long, a folder that may not be read
            raise UsageError(f"cannot look for a run in {path} ({error.strerror})") from None
        if seeds:
            return [file.parent for file in seeds]
    for path, rest in rests.items():
        if rest:
            raise UsageError(
                f"{path} is half deleted: it has {', '.join(rest)} but no run.json; remove it, or make the run anew"
            )
    known = [f"{path.parent.parent.name}/{path.parent.name}" for path in root.glob("*/seed-*/run.json")]
    hint = nearest(text, [*known, *(name.partition("/")[0] for name in known)])
    raise UsageError(f"there is no run {text!r}{hint or f'; `wn runs` lists those in {root}'}")


def _number(record: Path) -> tuple[int, str]:
    """Sorts seeds as numbers."""
    seed = record.parent.name.rpartition("-")[2]
    return (int(seed) if seed.isdecimal() else 0, seed)


def _rest(path: Path) -> list[str]:
    """What a run's folder has beside its record."""
    return [name for name in PARTS if (path / name).exists()]


def listing(root: Path) -> list[Run]:
    """All runs below ``root``, oldest first; one whose writer died is shown as ``partial``, a damaged one as ``damaged``."""
    runs = [_listed(path) for path in root.glob("*/seed-*") if path.is_dir() and ((path / "run.json").exists() or _rest(path))]
    return sorted(runs, key=lambda run: (run.record["started"], run.name))


def _listed(path: Path) -> Run:
    try:
        return as_it_stands(Run.open(path))
    except WnError:
        return Run(path, {"status": "damaged", "started": ""})


def note(run: Run) -> str:
    """What is odd about a run's folder: it was moved, or parts of it are damaged or gone; empty if nothing is."""
    if run.record["status"] == "damaged":
        there = (run.path / "run.json").exists()
        return "its run.json cannot be read" if there else f"half deleted: no run.json beside {', '.join(_rest(run.path))}"
    notes = []
    if (was := run.record.get("name", run.name)) != run.name:
        notes.append(f"moved: it was made as {was}")
    if run.finished and not (run.path / "weights" / "final.pt").is_file():
        notes.append("half deleted: no weights/final.pt")
    return "; ".join(notes)


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
