"""Initialisers and activations by name; the original code numbers both in this order."""

from __future__ import annotations

from typing import Literal

Initialiser = Literal["glorot-normal", "glorot-uniform", "he-normal", "he-uniform", "lecun-normal", "lecun-uniform"]
Activation = Literal["relu", "leaky-relu", "elu", "selu", "sigmoid", "tanh"]
FirstWeights = Literal[Initialiser, "study"]
"""An initialiser, or what the original gave a family of networks."""
MlpActivation = Literal[Activation, "linear"]
