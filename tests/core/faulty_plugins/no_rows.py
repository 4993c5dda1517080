"""An analysis that finds nothing."""

from widenet import Analysis, hookimpl


def silent(run, net, data, config):
    """Yield nothing."""
    return []


@hookimpl
def analyses():
    yield Analysis("silent", silent)
