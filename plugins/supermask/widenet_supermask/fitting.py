"""Weights and masks out of a file, made to fit a network; what does not fit is refused, never left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from widenet import UsageError
from widenet.kernels.select import topk_mask
from widenet.masks import layers, masks, original, plain_state
from widenet.options import canonical
from widenet.weights import read_state
from widenet_supermask.config import Import
from widenet_supermask.seedfile import read_seed
from widenet_supermask.variants.sample import Sample

SHOWN = 3
"""Tensors in a message before it says how many more there are."""

Found = tuple[dict[str, Tensor], dict[str, Tensor]]
"""A state dict without masks, and the masks by their layer's path."""


def from_seed(run: Any, config: Import) -> Found:
    """What a seed file gives back.

    Raises:
        UsageError: it is damaged, or of another network than the run's, or options say what it says itself.
    """
    if config.keep is not None or config.variant != "edge-popup":
        raise UsageError(f"{config.file} holds its masks as they are; leave --keep and --variant out")
    net, about = read_seed(config.file, run.registry)
    own = {key: run.record[key] for key in ("arch", "shape", "classes")}
    if canonical(own) != canonical({key: about[key] for key in own}):
        raise UsageError(f"{config.file} holds {_described(about)}, not {_described(own)}; change --arch or --dataset")
    run.say(f"{config.file}: drawn from seed {about['seed']} and rebuilt bit for bit")
    return plain_state(net), masks(net)


def _described(about: Mapping[str, Any]) -> str:
    """The network of a record, as ``--arch`` takes it, and what it maps."""
    arch = about["arch"]
    values = ",".join(f"{key}={_text(value)}" for key, value in arch["options"].items())
    return f"{arch['name']}:{values} of shape {about['shape']} in {about['classes']} classes"


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value).lower()


def from_checkpoint(run: Any, net: nn.Module, config: Import) -> Found:
    """What a checkpoint of the paper's code holds, or any state dict in the network's own names.

    Raises:
        UsageError: it is damaged, does not fit the network, or its scores need ``--keep``.
    """
    found = read_state(config.file)
    scored = {f"{name}.scores".lstrip("."): (name, original(module).detach()) for name, module in layers(net)}
    expected = net.state_dict() | {key: weight for key, (_, weight) in scored.items() if key in found}
    state = fitted(found, expected, f"{config.file} does not fit {run.record['arch']['name']}")
    scores = {name: state.pop(key) for key, (name, _) in scored.items() if key in state}
    return state, _masks(run, scores, config)


def fitted(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """``found`` in the order and the shapes of ``expected``; a linear layer and a 1x1 convolution fit each other.

    Raises:
        UsageError: ``what``, and the first of the tensors that are missing, have no place, or have another shape.
    """
    faults = [f"{name} is missing" for name in expected if name not in found]
    faults += [f"{name} has no place" for name in found if name not in expected]
    faults += [
        f"{name} has shape {tuple(found[name].shape)}, not {tuple(like.shape)}"
        for name, like in expected.items()
        if name in found and _taps(found[name]) != _taps(like)
    ]
    if not faults:
        return {name: found[name].reshape(like.shape) for name, like in expected.items()}
    more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    biased = any(fault.endswith("bias is missing") for fault in faults)
    hint = "; has it no biases? give affine=false,bias=false (conv and fc: bias=false) to --arch" if biased else ""
    raise UsageError(f"{what}: {', '.join(faults[:SHOWN])}{more}{hint}")


def _taps(value: Tensor) -> tuple[int, ...]:
    """The shape, without ones at its end."""
    shape = list(value.shape)
    while shape and shape[-1] == 1:
        shape.pop()
    return tuple(shape)


def _masks(run: Any, scores: Mapping[str, Tensor], config: Import) -> dict[str, Tensor]:
    """The masks that scores stand for.

    Raises:
        UsageError: they need ``--keep``, or are not what the options say.
    """
    path = config.file
    if not scores:
        if config.keep is not None:
            raise UsageError(f"{path} holds no scores to keep a fraction by; leave --keep out to take the network as it is")
        run.say(f"{path}: no scores, so the network has no masks")
        return {}
    if config.variant == "sample":
        return {name: Sample(value).draw(run.generator("final mask", name)) for name, value in scores.items()}
    if all(bool(((value == 0) | (value == 1)).all()) for value in scores.values()):
        run.say(f"{path}: scores of 0 and 1, taken for the masks as they are{'; --keep plays no part' if config.keep else ''}")
        return {name: value.bool() for name, value in scores.items()}
    if not all(value.is_floating_point() for value in scores.values()):
        raise UsageError(f"{path} holds scores that are whole numbers other than 0 and 1, which no training gives")
    if config.variant == "fixed":
        raise UsageError(f"{path} holds other scores than 0 and 1, so they are no masks yet; give --keep in place of --variant")
    if config.keep is None:
        raise UsageError(f"{path} holds scores, but not how much they keep; add --keep FRACTION")
    return {name: topk_mask(value, config.keep) for name, value in scores.items()}
