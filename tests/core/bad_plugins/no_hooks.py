"""Forgets to mark its hooks."""

from widenet import Method


def methods():
    yield Method("unmarked", lambda run, net, data, config: None)
