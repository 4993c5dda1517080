"""Has options in a class that attrs does not know."""

from widenet import Method, hookimpl


class Options:
    rounds = 1


@hookimpl
def methods():
    yield Method("classless", lambda run, net, data, config: None, Options)
