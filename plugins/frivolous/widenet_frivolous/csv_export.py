"""Export ``frivolous-csv``: a run's analyses as the original's tables, so that its notebooks read them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from widenet_frivolous import csv_redundancy, csv_robustness
from widenet_frivolous.redundancy_config import StudyCsv

QUOTE = "|"
"""The original's quote character."""


def write(run: Any, net: Any, path: Path, config: StudyCsv) -> None:
    """Write one table of the run, from what its analyses ``redundancy`` or ``prunability`` have kept; nothing is measured.

    Raises:
        WnError: the analyses are missing; the message says how to make them.
    """
    of_units = config.table == "redundancy"
    columns: Sequence[str] = csv_redundancy.COLUMNS if of_units else csv_robustness.COLUMNS
    rows = list(csv_redundancy.redundancy_rows(run) if of_units else csv_robustness.robustness_rows(run))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", quotechar=QUOTE, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
