"""Yields two methods of one name."""

from widenet import Method, hookimpl


@hookimpl
def methods():
    yield Method("twin", lambda run, net, data, config: None)
    yield Method("twin", lambda run, net, data, config: None)
