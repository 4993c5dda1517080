"""Fails when told of what happened."""

import sys

from widenet import hookimpl


@hookimpl
def logged(run, values):
    print("heard of an epoch")  # noqa: T201
    raise RuntimeError("cannot hear")


@hookimpl
def finished(run):
    sys.exit("had enough")
