"""A method that fails."""

from widenet import Method, hookimpl


def failing(run, net, data, config):
    """Fail."""
    raise ValueError("not today")


@hookimpl
def methods():
    yield Method("failing", failing)
