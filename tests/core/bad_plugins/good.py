"""A plugin without a fault, to stand beside the faulty ones."""

from widenet import Method, Train, hookimpl


def train_well(run, net, data, config):
    """Train."""
    from widenet.train import fit

    for _ in fit(run, net, data, config):
        pass


@hookimpl
def methods():
    yield Method("well", train_well, Train, presets={"brief": {"epochs": 1}})
