"""A method that keeps what it needs in a variable, where no checkpoint sees it."""

from widenet import Method, Train, hookimpl


def forgetful(run, net, data, config):
    """Put the mean over all epochs so far in the place of the weights."""
    from widenet.train import fit

    sums = [0.0 for _ in net.parameters()]
    for epoch in fit(run, net, data, config):
        sums = [total + parameter.detach() for total, parameter in zip(sums, net.parameters(), strict=True)]
        for total, parameter in zip(sums, net.parameters(), strict=True):
            parameter.data.copy_(total / epoch.number)


@hookimpl
def methods():
    yield Method("forgetful", forgetful, Train)
