"""Masks of the oracles in torch's layout."""

import json
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parents[2] / "golden" / "weight_symmetry"


def read(name):
    """The oracle ``<name>.json``."""
    return json.loads((GOLDEN / f"{name}.json").read_text())


def arrays(name):
    """The arrays of ``<name>.npz``."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)


def chained(kernels):
    """Kernels with the neuron last, as torch has them; flattened maps channel by channel. None stays None."""
    masks, before = {}, None
    for name, kernel in kernels.items():
        mask = None if kernel is None else turned(kernel.astype(bool))
        if mask is not None and before is not None and mask.ndim == 2 and before.ndim == 4 and mask.shape[1] != len(before):
            mask = mask.reshape(len(mask), -1, len(before)).transpose(0, 2, 1).reshape(len(mask), -1)
        masks[name] = before = mask
    return masks


def turned(kernel):
    """(in, out) as (out, in), (kh, kw, in, out) as (out, in, kh, kw)."""
    return kernel.T if kernel.ndim == 2 else kernel.transpose(3, 2, 0, 1)
