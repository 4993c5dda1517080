"""The training that the study begins with: the network of the best epoch, and an early end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from torch import nn

from widenet.data import Data
from widenet.errors import UsageError
from widenet.masks import masks, plain_state
from widenet.train import Epoch, evaluate, fit, parallel
from widenet_frivolous.experiments import note
from widenet_frivolous.initialise import initialise
from widenet_frivolous.labels import random_labels
from widenet_frivolous.options import Frivolous
from widenet_frivolous.regularise import regularised


def train_network(run: Any, net: nn.Module, data: Data, config: Frivolous) -> dict[str, Any]:
    """Train ``net`` as the options say, and leave it as it was in the selected epoch.

    Returns:
        ``epochs``, how many were trained, ``selected_epoch``, and ``test_accuracy`` (and ``test_top5``) of the network left.

    Raises:
        UsageError: options that mean nothing for this network or data.
        WnError: as :func:`widenet.train.fit`.
    """
    _check(run, net, data, config)
    if config.experiment is not None and (remark := note(config.experiment, run.seed)):
        run.say(remark)
    if config.init is not None:
        initialise(net, config.init, run.generator("init"))
    if config.labels == "random":
        data = random_labels(data, run)
    data, loss = regularised(net, data, config)
    factor = config.lr_bs_factor
    config = attrs.evolve(config, lr=config.lr * factor, batch_size=int(config.batch_size * factor))
    selection = Selection(config.select, config.patience, "best" if run.fits == 0 else f"loop-{run.fits}-best")
    for epoch in fit(run, net, data, config, loss=loss):
        selection.look(run, net, epoch)
        if reason := selection.finished():
            run.say(f"{reason}: training ends after epoch {epoch.number}")
            break
    selected = selection.restore(run, net)
    measured = evaluate(net, data.test, amp=config.amp)
    scores = {f"test_{key}": value for key, value in measured.items() if key != "loss"}
    return {"epochs": selection.last, "selected_epoch": selected, **scores}


def _check(run: Any, net: nn.Module, data: Data, config: Frivolous) -> None:
    """Refuse what cannot be done, before anything is.

    Raises:
        UsageError: saying what.
    """
    if config.select == "val" and data.val is None:
        raise UsageError("--select val needs validation samples: add --val 0.05, or choose --select train or last")
    if config.init is not None and run.record.get("parents"):
        raise UsageError("--init draws the weights anew that --from brings; leave one of them out")
    if config.select != "last" and masks(net):
        raise UsageError(f"--select {config.select} cannot put back a network under masks; leave it out")


@attrs.define
class Selection:
    """Which epoch is kept, and when to end: the accuracy of split ``by``, best first come."""

    by: str
    patience: int
    tag: str
    """What the core keeps the best epoch's weights under, where it is chosen on validation."""
    best: float = -1.0
    epoch: int = 0
    last: int = 0
    """The last epoch there was."""

    def look(self, run: Any, net: nn.Module, epoch: Epoch) -> None:
        """Take note of an epoch, and keep it where it is the best by training."""
        self._catch_up(run, epoch.number - 1)  # only now has the loop cut the metrics back to its checkpoint
        if self._better(epoch.values, epoch.number) and self.by == "train":
            run.save_weights("best-train", plain_state(net))

    def finished(self) -> str:
        """Why training ends after the last epoch; empty where it goes on."""
        if self.by == "train" and self.best == 1:
            return "every training sample is right"
        if self.patience and self.last - self.epoch >= self.patience:
            return f"no better {self.by} accuracy in {self.patience} epochs"
        return ""

    def restore(self, run: Any, net: nn.Module) -> int:
        """Put the selected epoch's weights back into ``net``; its number."""
        self._catch_up(run)
        if self.by == "last":
            return self.last
        net.load_state_dict(run.weights("best-train" if self.by == "train" else self.tag))
        return self.epoch

    def _catch_up(self, run: Any, epochs: int | None = None) -> None:
        """Take note of so many epochs, or all, that were trained before the run was resumed."""
        if not self.last:
            for line in parallel.from_leading(run.metrics()[:epochs]):
                self._better(line, line["epoch"])

    def _better(self, values: Mapping[str, Any], number: int) -> bool:
        self.last = number
        accuracy = values.get(f"{self.by}/accuracy")
        if accuracy is None or accuracy <= self.best:
            return False
        self.best, self.epoch = accuracy, number
        return True
