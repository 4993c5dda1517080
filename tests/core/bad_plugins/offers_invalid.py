"""Offers a good preset, and one with a value out of range."""

from widenet import hookimpl


@hookimpl
def presets():
    return {"train": {"fine": {"epochs": 9}, "backwards": {"lr": -1}}}
