"""The filters of a network's last representation that a command is about: found by scores, or given in a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

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

    def random(self, like: Filters, draw: int) -> Filters:
        """Random sets of the sizes of others; different ones for each draw."""
        return like.random(self.source.random(draw))

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
    if given is not None and not config.k and given.smallest < given.size:
        run.say(
            f"{config.indices} has {given.smallest} to {given.size} units of a class; what stands beside it has {given.size}"
        )
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
        UsageError: a class has fewer units in the file, or the file says nothing of their order.
    """
    if given is None:
        return list(config.sizes(units))
    if not config.k:
        return [given.size]
    ks = list(range(1, given.smallest + 1)) if "all" in config.k else list(config.sizes(units))
    if ks[-1] > given.smallest:
        raise UsageError(
            f"--k {ks[-1]}: {config.indices} has {given.smallest} units of a class; choose up to that, or find them"
        )
    if config.indices.suffix == ".h5" and ks[0] < given.size:
        raise UsageError(f"--k {ks[0]}: the masks in {config.indices} have no order to take some by; give a list, or no --k")
    return ks
