"""Training: :func:`fit` yields epochs, and owns all that lies between them."""

from widenet.train.evaluate import evaluate
from widenet.train.fit import Epoch, fit

__all__ = ["Epoch", "evaluate", "fit"]
