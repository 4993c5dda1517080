"""Offers a preset that is no mapping."""

from widenet import hookimpl


@hookimpl
def presets():
    return {"train": {"long": 9}}
