"""Fails after its first component."""

from widenet import Method, hookimpl


@hookimpl
def methods():
    yield Method("half-made", lambda run, net, data, config: None)
    raise RuntimeError("no luck\ntoday")
