"""Several runs in one process, side by side: each goes its own way, and their epochs are trained at once, stacked.

A method knows nothing of it. Each run is carried out in a greenlet; where its loop comes to the steps of an epoch it waits
for the others, and :mod:`widenet.train.stack` makes the steps of all. In between only one of them runs at a time, and finds the
global random streams as it left them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from widenet.errors import Stopped
from widenet.train import checkpoint

if TYPE_CHECKING:
    from widenet.train.steps import Steps

_hub: Any = None
"""The greenlet that drives the others, while there are some."""
_company = 1


def company() -> int:
    """How many runs this process carries out side by side."""
    return _company


def arrive(steps: Steps, number: int) -> dict[str, float] | None:
    """Wait until the other runs of this process have come to epoch ``number``; its metrics, or None if it is to train alone.

    Raises:
        WnError: a loss of this run was not finite.
    """
    if _hub is None:
        return None
    streams = checkpoint.random_state()
    try:
        found: dict[str, float] | None = _hub.switch((steps, number))
    finally:
        checkpoint.set_random_state(streams)
    return found


def side_by_side(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Carry out all of ``works``; the result of each, or the exception that ended it.

    One that fails does not stop the others. Ctrl-C or a scheduler's signal reaches every one of them, and is then raised.
    """
    import greenlet

    global _hub, _company
    party = _Party([greenlet.greenlet(work) for work in works])
    _hub, _company = greenlet.getcurrent(), len(works)
    try:
        party.go_on()
    except (Stopped, KeyboardInterrupt) as error:
        party.end(error)
        raise
    finally:
        _hub, _company = None, 1
    return party.results


class _Party:
    """Greenlets, what they wait with, and what they came to."""

    def __init__(self, members: Sequence[Any]) -> None:
        self.members = members
        self.waiting: dict[int, tuple[Steps, int]] = {}
        self.told: set[str] = set()
        self.results: list[Any] = [None] * len(members)

    def go_on(self) -> None:
        """Let all go on to the end, in step: those that lag behind (a resumed run) first."""
        for place in range(len(self.members)):
            self._resume(place)
        while self.waiting:
            stands = {place: (steps.loop, number) for place, (steps, number) in self.waiting.items()}
            last = min(stands.values())
            places = sorted(place for place, stand in stands.items() if stand == last)
            for place, values in zip(places, self._epoch(places, last[1]), strict=True):
                self._resume(place, values)

    def _epoch(self, places: Sequence[int], number: int) -> Sequence[dict[str, float] | BaseException | None]:
        """Train an epoch of some stacked: the metrics of each, or the error that it met; None where each must train its own."""
        from widenet.train import stack

        crew = [self.waiting[place][0] for place in places]
        made = stack.epoch(crew, number)
        if not isinstance(made, str):
            return made
        if made and made not in self.told:
            self.told.add(made)
            for steps in crew:
                steps.run.say(f"the runs are trained one after the other: {made}")
        return [None] * len(places)

    def end(self, error: BaseException) -> None:
        """Raise the error in all that wait, so that each can say in its record what became of it."""
        for place in list(self.waiting):
            try:
                self._resume(place, error)
            except type(error):
                continue

    def _resume(self, place: int, values: dict[str, float] | BaseException | None = None) -> None:
        """Let one go on, with an epoch's metrics or the error that it met, until it waits again or ends."""
        started = self.waiting.pop(place, None) is not None
        member = self.members[place]
        try:
            came = member.throw(values) if isinstance(values, BaseException) else member.switch(*([values] if started else []))
        except (Stopped, KeyboardInterrupt):
            raise
        except BaseException as error:
            self.results[place] = error
            return
        if member.dead:
            self.results[place] = came
        else:
            self.waiting[place] = came
