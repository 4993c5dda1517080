"""A supermask in a tiny file: one bit a weight and a seed, from which the network is rebuilt bit for bit.

HDF5 with the masks in one array ``masks``, bit-packed, one after the other; ``signs``, bit-packed, says which kept weights of
``turned`` layers have the other sign; ``scales`` has the one size of the kept weights of each ``scaled`` layer; ``extra/...``
is all else that is not as drawn, such as the statistics of batch normalisation. The attribute ``about`` is JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from widenet import NoOptions, UsageError, WnError
from widenet.masks import Fixed, attach, cut, key_of, original
from widenet.plugins import Registry
from widenet_supermask.config import SCORED
from widenet_supermask.derive import beginning, drawing_options, fingerprint, related, relation, same
from widenet_supermask.packing import packed, read_packed, unpacked, write_packed

INSTEAD = "`wn export RUN --what subnet` writes the weights themselves"
EXTRA = "extra/"

Layers = list[dict[str, Any]]


def write_seed(run: Any, net: Any, path: Path, config: NoOptions) -> None:
    """Write the seed and the masks of a finished ``supermask`` run, and what little else is not as the seed draws it.

    Raises:
        UsageError: the run has no masks, or keeps weights that its seed does not give back.
    """
    _check(run)
    about = {key: run.record[key] for key in ("arch", "shape", "classes", "seed")} | {"options": drawing_options(run)}
    first, found = beginning(run.registry, about)
    state, drawn = run.weights(), first.state_dict()
    masks = {name: torch.from_numpy(mask) for name, mask in run.masks().items()}
    layers: Layers = []
    aids: dict[str, list[Tensor]] = {"drawn": [], "turned": [], "scaled": []}
    for name, mask in masks.items():
        key = key_of(name, state)
        rule, aid = relation(state[key][mask], drawn[key][mask]) or _refuse(run, name)
        aids[rule].append(aid)
        row = {"name": name, "shape": list(mask.shape), "kept": int(mask.sum()), "keep": found[name].keep, "rule": rule}
        layers.append(row)
    masked = {key_of(name, state) for name in masks}
    extra = {key: value for key, value in state.items() if key not in masked and not same(value, drawn[key])}
    arrays = {"masks": packed(masks.values()), "signs": packed(aids["turned"])}
    arrays |= {"scales": np.array([float(size) for size in aids["scaled"]], np.float32)}
    arrays |= {EXTRA + key: value.numpy() for key, value in extra.items()}
    about |= {"layers": layers, "torch": str(torch.__version__), "sha256": fingerprint(cut(state, masks))}
    write_packed(path, arrays, about)


def _check(run: Any) -> None:
    """Refuse a run that does not begin with random weights, or has no masks."""
    made, parents = run.record["component"], run.record["parents"]
    if made != "supermask/supermask":
        raise UsageError(f"{run.name} was made by {made}, seeds give back runs of supermask only; {INSTEAD}")
    if parents:
        raise UsageError(f"{run.name} began with the weights of {parents[0]}, which its seed does not draw; {INSTEAD}")
    if not run.has_masks():
        raise UsageError(f"{run.name} has no masks, and its weights were trained, which no seed draws")


def _refuse(run: Any, layer: str) -> Any:
    """Say why the weights kept in a layer are not those that were drawn."""
    options, then = run.record["options"], run.record["versions"]["torch"]
    reason = f"drawn with torch {then}, this is {torch.__version__}"
    if options["variant"]["value"] == "iterand":
        reason = "drawn anew during training"
    if options["train_weights"]["value"] or options["variant"]["value"] not in SCORED:
        reason = "trained"
    raise UsageError(f"{run.name}: the weights kept in {layer} are not those its seed draws ({reason}); {INSTEAD}")


def read_seed(path: Path, registry: Registry) -> tuple[nn.Module, dict[str, Any]]:
    """The network in a seed file, on the CPU with its masks as :class:`~widenet.masks.Fixed`, and what the file says of it.

    Raises:
        UsageError: no such file, or no seed file; its architecture is not installed, or is another by now.
        WnError: the numbers drawn here are not those that the file was made with.
    """
    arrays, about = read_packed(path)
    net, found = beginning(registry, about)
    state, layers = net.state_dict(), about["layers"]
    shapes = {name: original(place.module, place.parameter).shape for name, place in found.items()}
    extra = {name.removeprefix(EXTRA): array for name, array in arrays.items() if name.startswith(EXTRA)}
    if {layer["name"]: torch.Size(layer["shape"]) for layer in layers} != shapes or extra.keys() - state.keys():
        raise UsageError(f"{path} was made with another {about['arch']['name']} than is here; read it with that version")
    flat = unpacked(arrays["masks"], [shapes[layer["name"]].numel() for layer in layers])
    masks = {layer["name"]: mask.reshape(layer["shape"]) for layer, mask in zip(layers, flat, strict=True)}
    _restore(state, layers, masks, arrays)
    for key, array in extra.items():
        state[key].copy_(torch.from_numpy(array))
    if fingerprint(cut(state, masks)) != about["sha256"]:
        raise WnError(
            f"{path} does not give back its network: torch {torch.__version__} draws other numbers here than torch "
            f"{about['torch']} did where it was made, or it is damaged; {INSTEAD}"
        )
    attach(net, lambda name, _: Fixed(masks[name]) if name in masks else None, biases=True)
    return net, about


def _restore(
    state: Mapping[str, Tensor], layers: Layers, masks: Mapping[str, Tensor], arrays: Mapping[str, np.ndarray]
) -> None:
    """Turn and scale, in place, the kept weights of the layers whose rule it is."""
    none = np.zeros(0, np.uint8)
    turned = unpacked(arrays.get("signs", none), [layer["kept"] for layer in layers if layer["rule"] == "turned"])
    aids = {"turned": iter(turned), "scaled": iter(torch.from_numpy(arrays.get("scales", none)))}
    for layer in layers:
        if layer["rule"] in aids:
            mask, weight = masks[layer["name"]], state[key_of(layer["name"], state)]
            weight[mask] = related(layer["rule"], weight[mask], next(aids[layer["rule"]]))
