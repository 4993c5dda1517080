"""Exports by a function that is given no path."""

from widenet import Export, hookimpl


@hookimpl
def exports():
    yield Export("curt", lambda run, net, config: None)
