"""What a seed alone gives back: the random network that a run began with, and the weights it kept of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from widenet import opening
from widenet.components import Model
from widenet.options import build, resolve
from widenet.plugins import Registry
from widenet.runs import Run
from widenet_supermask.config import Supermask
from widenet_supermask.layout import Place, layout
from widenet_supermask.method import randomise

CHOOSING = ("mask_bias", "first_dense", "last_dense", "keep", "keep_for")
DRAWING = ("init", "fan", "nonlinearity", "gain", "scale_fan", "compat")
"""Options that decide, with those above, which random weights a run begins with."""


def drawing_options(run: Any) -> dict[str, Any]:
    """Those options of a finished ``supermask`` run, as JSON can hold them."""
    return {name: run.record["options"][name]["value"] for name in (*CHOOSING, *DRAWING)}


def beginning(registry: Registry, about: Mapping[str, Any]) -> tuple[nn.Module, dict[str, Place]]:
    """The network as drawn, on the CPU, and the places in it that are masked.

    Args:
        registry: has the network's architecture.
        about: ``arch`` as in ``run.json``, ``shape``, ``classes``, ``seed``, ``options`` as of :func:`drawing_options`.

    Raises:
        UsageError: the architecture is not installed, or it or ``supermask`` no longer take these options.
    """
    model, options = opening.recorded(registry, Model, about["arch"])
    where = "supermask as recorded"
    config: Supermask = build(Supermask, resolve(Supermask, about["options"], where), where)
    run = Run(Path(), {"seed": about["seed"], "parents": []})
    run.seed_everything("model")
    net: nn.Module = opening.made(model, tuple(about["shape"]), about["classes"], options)
    found = layout(net, config)
    randomise(run, net, found, config)
    return net, found


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal in type, shape and every bit."""
    return one.dtype == other.dtype and one.shape == other.shape and torch.equal(_bits(one), _bits(other))


def _bits(value: Tensor) -> Tensor:
    return value.detach().reshape(-1).view(torch.uint8)


def relation(kept: Tensor, drawn: Tensor) -> tuple[str, Tensor] | None:
    """How kept weights (n,) come from those drawn (n,), and what :func:`related` needs beside these; None if by no rule.

    ``drawn``: as they are. ``turned``: some have the other sign, where the tensor, bool (n,), is true. ``scaled``: all have the
    size in the tensor, float (1,), and their own sign.
    """
    size = kept.abs().amax()[None] if len(kept) else kept
    rules = {"drawn": kept[:0], "turned": kept.signbit() != drawn.signbit(), "scaled": size}
    return next(((rule, aid) for rule, aid in rules.items() if same(related(rule, drawn, aid), kept)), None)


def related(rule: str, drawn: Tensor, aid: Tensor) -> Tensor:
    """The kept weights that :func:`relation` found this rule for."""
    if rule == "turned":
        return torch.where(aid, -drawn, drawn)
    return drawn.sign() * aid if rule == "scaled" else drawn


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over the names, types, shapes and bits of a state dict, whatever its order."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(_bits(value).numpy().data)
    return digest.hexdigest()
