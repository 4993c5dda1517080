"""Offers presets for a method as a list."""

from widenet import hookimpl


@hookimpl
def presets():
    return {"train": ["long"]}
