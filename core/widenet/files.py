"""Files that are either whole or absent: written under another name, then renamed."""

from __future__ import annotations

import contextlib
import csv
import errno
import functools
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from widenet.errors import WnError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def explain(error: OSError, path: Path) -> WnError:
    """The one line for a failed write: no space, or no permission."""
    if error.errno in FULL:
        return WnError(f"no space left to write {path}; free some and run the same command again, it continues")
    return WnError(f"cannot write {path} ({error.strerror or error}); choose another folder with --runs-dir")


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn an OSError inside the block into the line that says what to do.

    Raises:
        WnError: the disk is full, or the folder may not be written.
    """
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """Open ``path`` for writing; it appears, complete, only when the block ends well.

    Raises:
        WnError: the disk is full, or the folder may not be written; an older ``path`` stays as it was.
    """
    part = path.with_name(path.name + ".part")
    try:
        with writable(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                yield file
            part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    with whole(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write flat rows as CSV with a header, whole or not at all; columns in the order in which the rows first name them."""
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with whole(path) as file:
        file.write(text.getvalue().encode())


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        WnError: the file is not readable as JSON.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise WnError(f"{path} is unreadable ({error}); the run cannot be used, start it anew with --fresh") from error


def fingerprint(path: Path) -> str:
    """SHA-256 of a file; of one beyond 256 MiB, which would take long, its size."""
    about = path.stat()
    return f"{about.st_size} bytes" if about.st_size > 2**28 else _hash(path, about.st_size, about.st_mtime_ns)


@functools.lru_cache
def _hash(path: Path, size: int, changed: int) -> str:
    # A run looks at its inputs more than once.
    return sha256(path)


def sha256(path: Path) -> str:
    """SHA-256 of a file of any size, in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprints(values: Iterable[Any]) -> dict[str, str]:
    """Those of ``values`` that are paths of files, as text or not, each with its fingerprint."""
    paths = [Path(value) for value in values if isinstance(value, (str, Path)) and value]
    return {str(path): fingerprint(path) for path in paths if path.is_file()}
