"""Offers no mapping."""

from widenet import hookimpl


@hookimpl
def presets():
    return "long"
