"""What analyses of a run have left in its folder, for other analyses and exports to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from widenet.errors import WnError
from widenet.files import read_json
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


def kept_analyses(run: Any, name: str) -> Iterator[Kept]:
    """The finished analyses of a name, newest first, of the run as it stands; those of an earlier state do not count."""
    records = [(record, path.parent) for path in (run.path / "analyses").glob(f"{name}-*/run.json") if (record := _read(path))]
    for record, folder in sorted(records, key=lambda found: (found[0].get("started", ""), found[1].name), reverse=True):
        of = record.get("of")
        stands = isinstance(of, dict) and of.get("finished") == run.record.get("finished")
        if record.get("status") != "finished" or not stands or record.get("component", "").rpartition("/")[2] != name:
            continue
        rows = _read(folder / "result.json")
        if rows is not None:
            yield Kept(folder, {option: _value(entry) for option, entry in record.get("options", {}).items()}, rows)


def agree(options: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether all options that are wanted have their values; a tuple is as good as a list."""
    return all(_plain(options.get(name)) == _plain(value) for name, value in wanted.items())


def _read(path: Path) -> Any:
    """The content of a JSON file; None where it is damaged or missing, so that it is as if it were not there."""
    try:
        return read_json(path)
    except WnError:
        return None


def _value(entry: Any) -> Any:
    """A recorded option may come with where its value is from."""
    return entry["value"] if isinstance(entry, dict) and "value" in entry else entry


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, list)) else value
