"""Has a default that its own validator refuses."""

import attrs
from attrs.validators import ge

from widenet import Method, hookimpl, opt


@attrs.frozen(kw_only=True)
class Options:
    rounds: int = opt(0, "Rounds.", validator=ge(1))


@hookimpl
def methods():
    yield Method("roundless", lambda run, net, data, config: None, Options)
