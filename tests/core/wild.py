"""A plugin of methods that use every freedom a method has, or go wrong."""

import math
import os
import random
import signal
import sys

import attrs
import numpy as np

from widenet import Method, Train, hookimpl, opt
from widenet.errors import WnError


@attrs.frozen(kw_only=True)
class Noisy(Train):
    dropout: float = opt(0.3, "Fraction of hidden units dropped.")


@attrs.frozen(kw_only=True)
class Failing(Train):
    how: str = opt("bug", "What goes wrong.")
    at: int = opt(2, "Epoch at which it does.")


def noisy(run, net, data, config):
    """Train under dropout and a random mask that is drawn again after each epoch from the global stream."""
    import torch
    import torch.nn.functional as F

    from widenet.masks import Fixed, attach, modules
    from widenet.train import fit

    for layer in net.linear[2::2]:
        layer.register_forward_pre_hook(lambda layer, x: (F.dropout(x[0], config.dropout, layer.training),))
    attach(net, lambda name, weight: Fixed(torch.rand(weight.shape) < 0.7))
    for _ in fit(run, net, data, config):
        for mask in modules(net).values():
            mask.mask.copy_(torch.rand(mask.mask.shape) < 0.7)
    return draws()


def twice(run, net, data, config):
    """Train, prune the smallest half of the weights, and train again."""
    from widenet.masks import Fixed, attach, plain_state
    from widenet.train import evaluate, fit

    run.log({"phase": "start"})
    for _ in fit(run, net, data, config):
        pass
    dense = evaluate(net, data.test)["loss"]
    run.log({"phase": "pruning", "loss": dense, **draws()})
    run.save_weights("dense", plain_state(net))
    attach(net, lambda name, weight: Fixed(weight.abs() > weight.abs().median()))
    for epoch in fit(run, net, data, config):
        run.log({"phase": "again", "double": 2 * epoch.number, **draws()})
    return {"dense": dense, **draws()}


def draws():
    """One number from each global stream."""
    import torch

    return {"torch": torch.rand(()), "python": random.random(), "numpy": np.random.random()}  # noqa: NPY002


def failing(run, net, data, config):
    """Go wrong in the way asked for, after an epoch that was logged."""
    from widenet.train import fit

    for epoch in fit(run, net, data, config, loss=Loss(run, config) if config.how == "nan" else None):
        if epoch.number == config.at and config.how in FAILURES:
            FAILURES[config.how]()
    if config.how == "result":
        return {"broken": math.nan, "one": np.float32(0.5), "many": np.zeros(2)}
    if config.how == "odd result":
        return {"broken": math.nan, "infinite": -math.inf, "one": np.float32(0.5), "few": (1, 2)}
    return None


class Loss:
    """Cross-entropy, but not a number in the third step of one epoch."""

    def __init__(self, run, config):
        self.run, self.bad, self.step = run, config.at, 0

    def __call__(self, logits, labels):
        import torch.nn.functional as F

        self.step += len(self.run.metrics()) + 1 == self.bad
        return F.cross_entropy(logits, labels) * (math.nan if self.step == 3 else 1)


class OutOfMemoryError(RuntimeError):
    """Called as torch calls its own."""


def bug():
    raise KeyError("no such\nthing")


def expected():
    raise WnError("the moon is full; wait a week")


def memory():
    raise OutOfMemoryError("tried to allocate 80 GiB")


def disk():
    with open("/dev/full", "w") as file:  # noqa: PTH123
        file.write("x")


def leave():
    sys.exit(3)


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


FAILURES = {f.__name__: f for f in (bug, expected, memory, disk, leave, interrupt)}


@hookimpl
def methods():
    yield Method("noisy", noisy, Noisy)
    yield Method("twice", twice, Train)
    yield Method("failing", failing, Failing)
