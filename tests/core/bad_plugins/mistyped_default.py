"""Has a default of another type than it says."""

import attrs

from widenet import Method, hookimpl, opt


@attrs.frozen(kw_only=True)
class Options:
    rounds: int = opt("ten", "Rounds.")


@hookimpl
def methods():
    yield Method("lettered", lambda run, net, data, config: None, Options)
