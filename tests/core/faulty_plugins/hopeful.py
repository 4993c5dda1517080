"""Offers presets for a method that is not there."""

from widenet import hookimpl


@hookimpl
def presets():
    return {"nosuch": {"long": {"epochs": 9}}}
