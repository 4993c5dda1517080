"""Methods with required options; only one has a preset for the check."""

from pathlib import Path

import attrs

from widenet import Method, hookimpl, opt


@attrs.frozen(kw_only=True)
class Options:
    table: Path = opt(help="A table.")


def demanding(run, net, data, config):
    """Do nothing."""


@hookimpl
def methods():
    yield Method("demanding", demanding, Options)
    yield Method("provided", demanding, Options, presets={"check": {"table": "x"}})
