"""Has a name that no command line wants."""

from widenet import Method, hookimpl


@hookimpl
def methods():
    yield Method("My Method", lambda run, net, data, config: None)
