"""Method ``decompose``: a final layer in which each class sees only its own units, measured and, on request, trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import nn

from widenet.capture import ReadOut
from widenet.data import Data, Images
from widenet.masks import Fixed, attach, masks
from widenet.train import fit
from widenet_decompose.choice import Choice, chosen, usual
from widenet_decompose.config import USUAL, Decompose
from widenet_decompose.features import Split, class_readout, gates_of, kept
from widenet_decompose.filters import Filters, write_filters
from widenet_decompose.tables import measured, write


def carry_out(run: Any, net: Any, data: Any, config: Decompose) -> dict[str, Any]:
    """Find the filters, measure read-outs of these alone, mask the network's own down to them, and train it if asked to.

    The run receives ``decompose.csv`` (a row a score and size), ``classes.csv`` (by class), ``filters.json`` (what the network
    was given) and a figure.

    Raises:
        UsageError: the network has no read-out, or the units asked for cannot be found.
    """
    head = class_readout(net, data)
    if run.parent is None:
        run.say("this is a fresh network, untrained; --from RUN decomposes that of a run")
    gates = gates_of(run, *head.weight.shape)
    if gates is not None:
        run.save_arrays("gates", {"gates": gates})  # so that what this run is comes along with it
    choice = chosen(run, net, data, head, config, config.score or usual(gates is not None, config.indices is not None))
    accuracies = measured(choice, kept(run, net, data, [head.layer], "test"), head, config.draws, run.device)
    write(run, accuracies, head)
    built = _built(choice, config)
    write_filters(run.out / "filters.json", built)
    found = {
        "layer": head.layer,
        "units": head.weight.shape[1],
        "k": built.size,
        "full_accuracy": accuracies.full.accuracy,
        **accuracies.at(str(built.size)),
    }
    # Before the mask is there: a capture is of a network as it is, and this one is of the same features as the first.
    features = _features(run, net, data, head) if config.finetune == "head" else None
    old = masks(net).get(head.path)
    mask = built.mask if old is None else built.mask & old.cpu()
    if lost := int(built.mask.sum() - mask.sum()):
        run.say(f"of the units chosen {lost} have no weight to their class: the network came with a mask on {head.path}")
    attach(net, lambda path, _: Fixed(mask) if path == head.path else None)
    if config.finetune == "none":
        return found | {"test_accuracy": found["decomposed_accuracy"]}
    if features is None:
        net.requires_grad_(True)
    with nullcontext() if features is None else _from_features(net, head.path):
        for _ in fit(run, net, features or data, config):
            pass
    return found


def _built(choice: Choice, config: Decompose) -> Filters:
    """The filters that the network is given: by the first score, of the first size named."""
    first = choice.scores[0]
    sizes = [int(size) for score, size in choice.filters if score == first]
    named = [int(part) for part in config.k if part != "all"]
    k = named[0] if named else USUAL[0] if USUAL[0] in sizes else sizes[0]
    return choice.filters[first, str(k)]


def _features(run: Any, net: nn.Module, data: Any, head: ReadOut) -> Data:
    """What the read-out is given, as a data set of its own: no image need be looked at again."""
    present: tuple[Split, ...] = ("train", "test", "val")
    splits = [split for split in present if getattr(data, split) is not None]
    parts = {split: kept(run, net, data, [head.layer], split) for split in splits}
    images = {split: Images(part.features(head.layer), part.labels) for split, part in parts.items()}
    return Data("features", images["train"], images["test"], (head.weight.shape[1],), data.classes, images.get("val"))


@contextmanager
def _from_features(net: nn.Module, path: str) -> Iterator[None]:
    """For a block the network takes what its read-out is given, and nothing but the read-out trains.

    It stays the same module, so that what is saved on the way has the architecture's own names.
    """
    readout = net.get_submodule(path)
    before = {name: parameter.requires_grad for name, parameter in net.named_parameters()}
    net.requires_grad_(False)
    readout.requires_grad_(True)
    net.forward = readout.forward
    try:
        yield
    finally:
        del net.forward
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(before[name])
