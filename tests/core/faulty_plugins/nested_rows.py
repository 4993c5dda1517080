"""An analysis with lists in its rows."""

from widenet import Analysis, hookimpl


def nested(run, net, data, config):
    """Yield the sizes of all parameters in one row."""
    yield {"sizes": [parameter.numel() for parameter in net.parameters()]}


@hookimpl
def analyses():
    yield Analysis("nested", nested)
