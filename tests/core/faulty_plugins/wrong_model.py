"""Models that give the wrong shape, fail, or take nothing; and one that is right."""

from widenet import Model, UsageError, hookimpl


def crooked(shape, classes, config):
    """Always seven classes."""
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.LazyLinear(7))


def falling(shape, classes, config):
    """Fail."""
    raise RuntimeError("down")


def picky(shape, classes, config):
    """Take no shape."""
    raise UsageError("picky takes nothing")


def straight(shape, classes, config):
    """One linear layer, for large images only."""
    from torch import nn

    if shape[-1] < 100:
        raise UsageError("straight needs images of at least 100x100")
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.LazyLinear(classes))


@hookimpl
def models():
    for function in (crooked, falling, picky, straight):
        yield Model(function.__name__, function)
