"""Imports torch at its top level, and takes a name of the core's."""

import torch  # noqa: F401

from widenet import Dataset, hookimpl


def digits(root, config):
    """Other digits."""


@hookimpl
def datasets():
    yield Dataset("digits", digits)
