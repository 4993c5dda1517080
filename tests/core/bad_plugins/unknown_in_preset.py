"""Has a preset for an option that it does not have."""

from widenet import Method, Train, hookimpl


@hookimpl
def methods():
    yield Method("preset-first", lambda run, net, data, config: None, Train, presets={"long": {"epoch": 100}})
