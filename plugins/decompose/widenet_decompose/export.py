"""Export ``decomposed``: the final layer of a ``decompose`` run alone, its indices beside its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from widenet.capture import INPUT
from widenet.errors import UsageError
from widenet.weights import save_tensors
from widenet_decompose.layer import DecomposedLinear


def write_layer(run: Any, net: Any, path: Path) -> None:
    """Write the state dict of a :class:`~widenet_decompose.layer.DecomposedLinear`.

    Raises:
        UsageError: the run is none of ``decompose``.
    """
    if run.record["component"] != "decompose/decompose":
        raise UsageError(f"{run.name} has no decomposed layer; wn run decompose --from {run.name} makes a run that has")
    name = run.record["result"]["layer"].removesuffix(INPUT)
    layer = DecomposedLinear(net.get_submodule(name), torch.from_numpy(run.masks()[name]))
    save_tensors(path, {key: value.cpu() for key, value in layer.state_dict().items()})
