"""What analyses of a run have left in its folder, for other analyses and exports to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from widenet.errors import WnError
from widenet.files import read_json
from widenet.options import canonical
from widenet.store import read_arrays


@attrs.frozen(eq=False)
class Kept:
    """A finished analysis: its folder, the values of its options and the rows of its table."""

    folder: Path
    options: Mapping[str, Any]
    rows: list[dict[str, Any]]

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """The arrays that it saved under a name."""
        return read_arrays(self.folder / "arrays" / f"{name}.h5")

    def has(self, wanted: Mapping[str, Any]) -> bool:
        """Whether all these options have these values; a tuple is as good as a list."""
        return all(canonical(self.options.get(name)) == canonical(value) for name, value in wanted.items())


def kept_analyses(run: Any, name: str) -> Iterator[Kept]:
    """The finished analyses of a name, newest first, of the run as it stands; those of an earlier state do not count.

    What the run's own method has analysed knows no time of its end. What is damaged is as if it were not there.
    """
    found = [(path.parent, _read(path, {})) for path in (run.path / "analyses").glob(f"{name}-*/run.json")]
    for folder, record in sorted(found, key=lambda each: (each[1].get("started", ""), each[0].name), reverse=True):
        if record.get("status") != "finished" or record["component"].rpartition("/")[2] != name:
            continue
        rows = _read(folder / "result.json", None)
        if rows is not None and record["of"]["finished"] in ("", run.record.get("finished")):
            yield Kept(folder, record["options"], rows)


def _read(path: Path, instead: Any) -> Any:
    """The content of a JSON file; something else where it is damaged or missing."""
    try:
        return read_json(path)
    except WnError:
        return instead
