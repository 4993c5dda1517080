"""Has a preset with a value out of range."""

import attrs
from attrs.validators import le

from widenet import Method, hookimpl, opt


@attrs.frozen(kw_only=True)
class Options:
    share: float = opt(0.5, "Share.", validator=le(1))


@hookimpl
def methods():
    yield Method("greedy", lambda run, net, data, config: None, Options, presets={"all": {"share": 2}})
