"""Forgets to yield."""

from widenet import Method, hookimpl


@hookimpl
def methods():
    Method("forgotten", lambda run, net, data, config: None)
