"""An option without help."""

import attrs

from widenet import Method, hookimpl, opt


@attrs.frozen(kw_only=True)
class Options:
    strength: float = opt(1.0)


def helpless(run, net, data, config):
    """Do nothing."""


@hookimpl
def methods():
    yield Method("helpless", helpless, Options)
