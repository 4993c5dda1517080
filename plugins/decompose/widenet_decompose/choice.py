"""The filters of a network's last representation that a command is about: found by scores, or given in a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from torch import Tensor

from widenet.capture import ReadOut
from widenet.errors import UsageError
from widenet_decompose.features import gates_of, kept
from widenet_decompose.filters import Filters, read_filters
from widenet_decompose.finding import Source, dead, find
from widenet_decompose.influence import DATA_FREE
from widenet_decompose.tally import Tally

FILE = "file"
"""What stands where a score would, of filters from a file."""


@attrs.frozen(eq=False)
class Choice:
    """Filters by score and size, those of a file first."""

    filters: dict[tuple[str, str], Filters]
    source: Source
    tally: Tally | None

    def random(self, k: int, draw: int) -> Tensor:
        """Random sets of k units, bool mask (C, F); another for each draw."""
        return Filters.of(self.source.random(draw)[:, :k], self.source.units).mask

    @property
    def scores(self) -> list[str]:
        """Scores, or ``file``, in order."""
        return list(dict.fromkeys(score for score, _ in self.filters))


def chosen(run: Any, net: Any, data: Any, head: ReadOut, config: Any, scores: Sequence[str]) -> Choice:
    """The filters by each score and, first, those of the file ``config.indices`` if there is one, in the sizes asked for.

    Training samples are captured only where a score needs them.

    Raises:
        UsageError: a size or score that the layer does not permit, or a file that does not fit.
    """
    units, classes = head.weight.shape[1], len(head.weight)
    gates = gates_of(run, classes, units)
    given = _read(config, classes, units)
    ks = _sizes(config, units, given)
    Source(run, head.layer, classes, units, None, head.weight, gates).check(scores, ks)
    captured = kept(run, net, data, [head.layer], "train") if set(scores) - set(DATA_FREE) else None
    source = Source(run, head.layer, classes, units, captured, head.weight, gates)
    found = find(source, scores, ks)
    if found.tally is not None and (remark := dead(found.tally, head.layer)):
        run.say(remark)
    of_file = {} if given is None else {(FILE, str(k)): given.top(k) for k in ks}
    return Choice({**of_file, **found.filters}, source, found.tally)


def usual(gated: bool, from_file: bool = False) -> tuple[str, ...]:
    """The scores of a command that is given none."""
    gates = ("gate", "lowest-gate") if gated else ()
    return (*(() if from_file else ("frequency",)), *gates, "weight", "random")


def _read(config: Any, classes: int, units: int) -> Filters | None:
    if config.indices is None:
        return None
    return read_filters(config.indices, classes, units, config.order == "ascending")


def _sizes(config: Any, units: int, given: Filters | None) -> list[int]:
    """The sizes asked for; of a file, its own where none are.

    Raises:
        UsageError: the file has fewer units of a class, or sets of several sizes of which a part is asked for.
    """
    if given is None:
        return list(config.sizes(units))
    if not config.k:
        return [given.size]
    ks = list(range(1, given.size + 1)) if "all" in config.k else list(config.sizes(units))
    if ks[-1] > given.size:
        raise UsageError(f"--k {ks[-1]}: {config.indices} has {given.size} units of a class; choose up to that, or find them")
    return ks
