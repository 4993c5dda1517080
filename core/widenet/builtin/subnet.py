"""What masks leave of a network, as a plain state dict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from widenet.components import NoOptions
from widenet.errors import UsageError


def subnet(run: Any, net: Any, path: Path, config: NoOptions) -> None:
    """Write the state dict of the subnetwork: dense, in the architecture's own names, zero where masked.

    It loads with ``torch.load(FILE, weights_only=True)`` into the plain architecture, which then computes what the masked
    network did.

    Raises:
        UsageError: the run has no masks.
    """
    import torch

    from widenet.masks import cut
    from widenet.weights import save_tensors

    if not run.has_masks():
        weights = run.path / "weights" / "final.pt"
        raise UsageError(f"{run.name} has no masks, there is nothing to cut; {weights} is its state dict")
    save_tensors(path, cut(run.weights(), {name: torch.from_numpy(mask) for name, mask in run.masks().items()}))
