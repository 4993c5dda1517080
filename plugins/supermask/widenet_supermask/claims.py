"""The paper's experiments as recipes for ``wn reproduce``."""

from __future__ import annotations

from widenet_supermask.claims_depth import DEPTH
from widenet_supermask.claims_imagenet import IMAGENET
from widenet_supermask.claims_weights import INITIALISATION, SAMPLING
from widenet_supermask.claims_width import WIDTH

RECIPES = (DEPTH, WIDTH, SAMPLING, INITIALISATION, IMAGENET)
"""In the order of the paper's figures."""
