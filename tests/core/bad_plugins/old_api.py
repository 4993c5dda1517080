"""Expects arguments that the hook no longer passes."""

from widenet import Method, hookimpl


@hookimpl
def methods(settings):
    yield Method("outdated", lambda run, net, data, config: None)
