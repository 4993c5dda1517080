"""Ends the process when a run has finished."""

import sys

from widenet import hookimpl


@hookimpl
def finished(run):
    sys.exit("had enough")
