"""Has an option that no command line can express."""

import attrs

from widenet import Method, hookimpl, opt


@attrs.frozen(kw_only=True)
class Options:
    table: dict[str, int] = opt(None, "A mapping.")


@hookimpl
def methods():
    yield Method("mapped", lambda run, net, data, config: None, Options)
