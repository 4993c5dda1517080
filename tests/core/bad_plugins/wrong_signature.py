"""Has a method that takes too few arguments."""

from widenet import Method, hookimpl


@hookimpl
def methods():
    yield Method("curt", lambda run, net: None)
