"""Has two options that share a spelling."""

import attrs

from widenet import Method, hookimpl, opt


@attrs.frozen(kw_only=True)
class Options:
    keep: float = opt(0.5, "Kept.", also={"rate": lambda rate: 1 - rate})
    rate: float = opt(0.1, "Rate.")


@hookimpl
def methods():
    yield Method("doubled", lambda run, net, data, config: None, Options)
