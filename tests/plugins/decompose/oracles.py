"""The recorded outputs of the original codes, and the real data that some tests need."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

GOLDEN = Path(__file__).parents[2] / "golden" / "decompose"
DATA = Path(__file__).parents[4] / "shared" / "data"
real = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
ORDERED = {"5": True, "10": False, "20": False}
"""Whether a published file's lists rise to the most influential unit."""


@cache
def arrays(name):
    """The arrays of a golden ``.npz`` file, as tensors."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file}


@cache
def expected():
    """Outputs of the second code's functions."""
    return json.loads((GOLDEN / "unit_expected.json").read_text())


@cache
def published(size):
    """The published units of each class, int64 (10, k), most influential first."""
    lists = torch.tensor(json.loads((GOLDEN / "indices_shipped.json").read_text())[size])
    return lists.flip(1) if ORDERED.get(size) else lists
