"""What is to be captured, and the key that tells one capture from another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import attrs
import torch
from torch import Tensor, nn

from widenet.capture.stream import Reduction
from widenet.data import balanced
from widenet.errors import UsageError
from widenet.files import fingerprints
from widenet.masks import masks, plain_state
from widenet.runs import Run

LOOK = 64
"""Samples of a split by which it is known again, as the network sees them."""


@attrs.frozen(kw_only=True)
class Wanted:
    """Which outputs of which samples, and in what form they are kept."""

    layers: tuple[str, ...]
    split: Literal["train", "test", "val"] = "test"
    reduction: Reduction = "mean"
    dtype: Literal["float32", "float16"] = "float32"
    per_class: int = 0
    """Samples of each class, drawn at random with the run's seed; 0 takes all."""

    @property
    def torch_dtype(self) -> torch.dtype:
        """The type in which outputs are kept."""
        return torch.float16 if self.dtype == "float16" else torch.float32

    def samples(self, run: Run, data: Any) -> tuple[Any, Tensor]:
        """The split to read, and the place int64 (N,) of each of its samples in the whole split.

        Raises:
            UsageError: the data set has no such split, or a class has too few samples.
        """
        if (split := getattr(data, self.split)) is None:
            raise UsageError(f"{data.name} has no split {self.split}; choose train or test")
        if not self.per_class:
            return split, torch.arange(len(split))
        try:
            index = balanced(split.labels(), self.per_class, run.generator("capture", self.split))
        except ValueError as error:
            raise UsageError(f"--per-class {self.per_class}: {error} in {self.split} of {data.name}") from None
        return split.part(index), index


def key(run: Run, net: nn.Module, split: Any, wanted: Wanted) -> dict[str, Any]:
    """All that a capture depends on but its layers: equal keys mean equal contents.

    The network, the labels and the first samples enter by their bytes, files of data by their fingerprints, so neither new
    weights nor another normalisation can go unseen.
    """
    masked = {f"{name} mask": mask for name, mask in masks(net).items()}
    look = next(iter(split.batches(LOOK)))
    return {
        "arch": run.record.get("arch", {}),
        "dataset": run.record.get("dataset", {}),
        "inputs": run.record.get("inputs", {}),
        "files": fingerprints(run.record.get("dataset", {}).get("options", {}).values()),
        "network": _digest({**plain_state(net), **masked}),
        "samples": [len(split), _digest({"x": look[0], "y": split.labels()})],
        **{name: value for name, value in attrs.asdict(wanted).items() if name != "layers"},
        **({"seed": run.seed} if wanted.per_class else {}),
    }


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes."""
    found = hashlib.sha256()
    for part in _parts(tensors):
        found.update(part)
    return found.hexdigest()


def _parts(tensors: Mapping[str, Tensor]) -> Iterator[Any]:
    for name, tensor in tensors.items():
        yield f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode()
        yield tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()


def short(key: Mapping[str, Any], layers: tuple[str, ...]) -> str:
    """Eight hex digits for a key and layers."""
    return hashlib.sha256(json.dumps([key, sorted(layers)], sort_keys=True).encode()).hexdigest()[:8]
