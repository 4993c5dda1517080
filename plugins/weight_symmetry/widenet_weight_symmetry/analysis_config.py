"""Options of ``wn analyze symmetry``."""

from __future__ import annotations

from pathlib import Path

import attrs
from attrs.validators import gt

from widenet import opt


@attrs.frozen(kw_only=True)
class Symmetry:
    """What is counted, and of which masks."""

    exact: bool = opt(False, "Count the permutations that move units of several layers at once as well (needs igraph).")
    limit: float = opt(60.0, "Seconds for the exact count; where they do not do, a lower bound is given.", validator=gt(0))
    integer: bool = opt(False, "Give the number of permutations in full, as text, and how many digits it has.")
    propagate: bool = opt(False, "Count once more without what units send on that read nothing.")
    masks: Path | None = opt(
        None,
        "HDF5 file of masks, each of a layer that reads the one before; counted, the last as well, in place of the run's.",
    )
