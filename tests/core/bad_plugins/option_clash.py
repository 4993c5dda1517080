"""Has an option of its own that every command has already."""

import attrs

from widenet import Method, hookimpl, opt


@attrs.frozen(kw_only=True)
class Options:
    seed: int = opt(0, "Seed.")


@hookimpl
def methods():
    yield Method("seedy", lambda run, net, data, config: None, Options)
