"""Imports a big library at its top level."""

import pandas  # noqa: F401

from widenet import Method, hookimpl


@hookimpl
def methods():
    yield Method("weighty", lambda run, net, data, config: None)
