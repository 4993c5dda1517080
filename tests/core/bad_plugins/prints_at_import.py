"""Talks on stdout: when imported, when asked for components, and while it works."""

from widenet import Analysis, Method, hookimpl

print("hello from the import")  # noqa: T201


def count(run, net, data, config):
    """Count to one."""
    print("counting")  # noqa: T201
    yield {"count": 1}


@hookimpl
def methods():
    print("hello from the hook")  # noqa: T201
    yield Method("chatty", lambda run, net, data, config: None)


@hookimpl
def analyses():
    yield Analysis("count", count)
