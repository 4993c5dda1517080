"""Comparisons and exports: two that work, and what can be wrong with others."""

import attrs

from widenet import Comparison, Export, WnError, hookimpl, opt


@attrs.frozen(kw_only=True)
class Into:
    rate: float = opt(help="A rate.")


def overlap(runs, nets, data, config):
    """Count the mask entries that two runs agree on; says why where there are none."""
    if not all(run.has_masks() for run in runs):
        raise WnError("these runs have no masks; take others")
    first, second = (run.masks() for run in runs)
    assert {run.seed for run in runs} == {0, 1}
    for layer, mask in first.items():
        yield {"layer": layer, "agree": int((mask == second[layer]).sum())}


def nested(runs, nets, data, config):
    """Yield what is not flat."""
    yield {"seeds": [run.seed for run in runs]}


def kept(run, net, path, config):
    """Write the masks, where there are any."""
    if not run.has_masks():
        raise WnError("this run has no masks; take another")
    path.write_text(" ".join(run.masks()))


def needy(run, net, path, config):
    """Write what only its user knows."""


def idle(run, net, path, config):
    """Write nothing."""


def picky(run, net, path, config):
    """Take no run."""
    raise WnError("picky takes nothing")


@hookimpl
def analyses():
    yield Comparison("overlap", overlap)
    yield Comparison("nested-pair", nested)


@hookimpl
def exports():
    yield Export("kept", kept)
    yield Export("needy", needy, Into)
    yield Export("idle", idle)
    yield Export("picky", picky)
