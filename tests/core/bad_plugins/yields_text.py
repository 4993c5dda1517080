"""Yields something that is no component."""

from widenet import hookimpl


@hookimpl
def models():
    yield "conv9"
