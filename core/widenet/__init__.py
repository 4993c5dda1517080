"""A workbench for studying width, redundancy and sparsity in neural networks.

What a plugin needs to declare itself is here and imports nothing heavy; the working parts (``widenet.masks``,
``widenet.train``, ``widenet.data``, ...) are imported inside the functions that use them.
"""

from widenet.components import Analysis, Comparison, Dataset, Export, Method, Model, NoOptions, Train, opt
from widenet.errors import UsageError, WnError
from widenet.plugins import hookimpl
from widenet.recipes import Claim, Panel, Recipe, Stage

__version__ = "0.1.0"
__all__ = [
    "Analysis",
    "Claim",
    "Comparison",
    "Dataset",
    "Export",
    "Method",
    "Model",
    "NoOptions",
    "Panel",
    "Recipe",
    "Stage",
    "Train",
    "UsageError",
    "WnError",
    "hookimpl",
    "opt",
]
