"""Options of the method ``frivolous``; nothing heavy is imported here."""

from __future__ import annotations

from typing import Literal

import attrs
from attrs.validators import ge, gt, optional

from widenet import Train, opt
from widenet_frivolous.names import Initialiser

Regulariser = Literal["none", "augment", "dropout", "weight-decay", "all"]


@attrs.frozen(kw_only=True)
class Frivolous(Train):
    """Options of the training that the study begins with; defaults are its recipe, but for the number of epochs."""

    train: bool = opt(True, "Train first; --no-train studies the network as it is.")
    lr: float = opt(0.01, "Learning rate of the first epoch.", validator=gt(0))
    schedule: Literal["cosine", "constant", "step", "exponential"] = opt("exponential", "Learning rate over the epochs.")
    gamma: float = opt(0.95, "Factor of the step schedule, and of every epoch of the exponential one.", validator=gt(0))
    weight_decay: float = opt(0.0, "L2 penalty on all parameters (decoupled in adamw).", validator=ge(0))
    lr_bs_factor: float = opt(1.0, "Factor on both learning rate and batch size.", validator=gt(0))
    init: Initialiser | None = opt(None, "Draw all linear and convolutional weights of the network anew, like this.")
    labels: Literal["true", "random"] = opt("true", "random draws the classes of training and validation samples.")
    regulariser: Regulariser = opt("none", "What keeps the network from overfitting; all is the three together.")
    fc_decay: float = opt(
        1e-3, "L2 penalty of regularisers weight-decay and all, on hidden fully connected layers alone.", validator=gt(0)
    )
    select: Literal["last", "val", "train"] = opt(
        "last", "Network that is studied: the last, or the one of best accuracy on validation or training samples."
    )
    patience: int = opt(
        0, "Epochs without a better accuracy after which training ends; 0 trains on. Needs select.", validator=ge(0)
    )
    experiment: int | None = opt(
        None, "Number in the original's table, as the presets id-2 and so on set it.", validator=optional(ge(0))
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.patience and self.select == "last":
            raise ValueError("patience waits for a better accuracy: add select val or train, or leave it out")
        if self.batch_size * self.lr_bs_factor < 1:
            raise ValueError(
                f"lr-bs-factor {self.lr_bs_factor:g} leaves nothing of batches of {self.batch_size}; give more of one"
            )
