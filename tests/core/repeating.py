"""A plugin of methods for commands that run from several seeds, some of which go wrong."""

import os
import signal
import time
from pathlib import Path

import attrs

from widenet import Method, Train, hookimpl, opt
from widenet.errors import UsageError


@attrs.frozen(kw_only=True)
class Masked(Train):
    density: float = opt(0.5, "Fraction of weights kept.")
    bad: int = opt(-1, "Seed whose loss is no number after its first epoch.")
    refused: int = opt(-1, "Seed that is refused.")
    killed: int = opt(-1, "Seed whose process is killed before its second epoch is saved.")
    held: bool = opt(False, "Wait before the second epoch is saved until there is a file called go.")


def masked(run, net, data, config):
    """Train under random masks."""
    import torch

    from widenet.masks import Fixed, attach
    from widenet.train import fit

    if run.seed == config.refused:
        raise UsageError("no such thing; ask for another")
    attach(net, lambda name, w: Fixed(torch.rand(w.shape, generator=run.generator("mask", name)) < config.density))
    for epoch in fit(run, net, data, config, gradient_norm=True, also=lambda values: {"double": 2 * values["train/loss"]}):
        if epoch.number == 1 and run.seed == config.bad:
            next(net.parameters()).data.fill_(1e30)
        if epoch.number == 2:
            interfere(run, config)
    return {"drawn": float(torch.rand(()))}


def interfere(run, config):
    if run.seed == config.killed:
        os.kill(os.getpid(), signal.SIGKILL)
    if config.held:
        Path(f"held-{run.seed}.part").write_text(str(os.getpid()))
        Path(f"held-{run.seed}.part").rename(f"held-{run.seed}")
        while not Path("go").exists():
            time.sleep(0.01)


def still(run, net, data, config):
    """Train nothing."""
    return {"seed": run.seed}


@hookimpl
def methods():
    yield Method("masked", masked, Masked, presets={"thin": {"density": 0.1, "epochs": 2}})
    yield Method("still", still)
