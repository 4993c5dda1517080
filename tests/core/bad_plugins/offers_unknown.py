"""Offers presets for a method that nobody has, and has a method of its own."""

from widenet import Method, hookimpl


@hookimpl
def methods():
    yield Method("generous", lambda run, net, data, config: None)


@hookimpl
def presets():
    return {"trian": {"long": {"epochs": 9}}}
