"""What a plugin yields: models, data sets, methods, analyses and exports, with their options.

All are one class, :class:`Component`: a name, a function, a class of options and presets for them. This module imports
neither torch nor numpy, so that a plugin can be listed without loading either.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
from attrs.validators import and_, deep_iterable, ge, gt, lt, optional

NAME = re.compile(r"[a-z0-9]+([-_][a-z0-9]+)*")
FLAGS = (
    *("analyze", "config", "dry_run", "fresh", "from", "help", "json", "parent", "plugin", "preset", "quiet", "repeats"),
    *("runs", "stack", "tensorboard"),
)
"""Names of the commands' own options and arguments, which no component may take."""


def opt(
    default: Any = attrs.NOTHING,
    help: str = "",
    *,
    validator: Any = None,
    also: Mapping[str, Callable[[Any], Any]] | None = None,
) -> Any:
    """One option: an attrs field that carries its help text.

    Without a default the option is required. ``also`` names other spellings of the same option, each with the function that
    turns its value into this option's, as in ``also={"sparsity": one_minus}``; the function's docstring is its help.
    """
    return attrs.field(default=default, validator=validator, metadata={"help": help, "also": dict(also or {})})


@attrs.frozen(kw_only=True)
class NoOptions:
    """The options of a component that has none."""


@attrs.frozen(kw_only=True)
class Train:
    """Options every training procedure shares; a method's own class inherits them."""

    epochs: int = opt(20, "Passes over the training images.", validator=ge(1))
    batch_size: int = opt(128, "Images per optimiser step.", validator=ge(1))
    optimizer: Literal["sgd", "adam", "adamw", "adagrad", "rmsprop", "ftrl"] = opt("sgd", "Optimiser.")
    lr: float = opt(0.05, "Peak learning rate.", validator=gt(0))
    momentum: float = opt(0.9, "Momentum of SGD.", validator=and_(ge(0), lt(1)))
    nesterov: bool = opt(False, "Nesterov's momentum (SGD).")
    weight_decay: float = opt(5e-4, "L2 penalty (decoupled in adamw).", validator=ge(0))
    schedule: Literal["cosine", "constant", "step", "exponential"] = opt("cosine", "Learning rate over the epochs.")
    milestones: tuple[int, ...] = opt(
        (), "Epochs after which the step schedule multiplies the rate by gamma.", validator=deep_iterable(ge(1))
    )
    gamma: float = opt(0.1, "Factor of the step schedule, and of every epoch of the exponential one.", validator=gt(0))
    factors: tuple[float, ...] = opt(
        (), "Fraction of the peak rate after each milestone, in place of powers of gamma.", validator=deep_iterable(gt(0))
    )
    final_lr: float = opt(0.0, "Rate that the cosine schedule ends at.", validator=ge(0))
    warmup: int = opt(0, "Epochs of linear warm-up.", validator=ge(0))
    label_smoothing: float = opt(0.0, "Smoothing of the targets.", validator=and_(ge(0), lt(1)))
    amp: bool = opt(False, "bfloat16 autocast: faster, results differ slightly.")
    compile: bool = opt(False, "torch.compile the network: slow to start, pays on GPUs.")
    deterministic: bool = opt(False, "Refuse operations that are not reproducible.")
    norm_decay: bool = opt(True, "Apply weight decay to batch norm's scale and shift as well.")
    val: float = opt(
        0.0,
        "Fraction of the training images set aside, by class, to choose the best epoch by; 0 trains on all.",
        validator=and_(ge(0), lt(1)),
    )
    per_class: int = opt(0, "Training images of each class that are kept, drawn at random; 0 keeps all.", validator=ge(0))
    best_by: Literal["val", "test"] = opt("val", "Split that the best epoch, kept under the tag best, is chosen by.")
    eval_every: int = opt(1, "Epochs between evaluations; the last epoch is always evaluated.", validator=ge(1))
    save_every: int = opt(0, "Epochs between saved weights and masks; 0 saves none on the way.", validator=ge(0))
    save_at: tuple[int, ...] = opt(
        (), "Epochs after which weights and masks are saved besides.", validator=deep_iterable(ge(1))
    )

    def __attrs_post_init__(self) -> None:
        if self.final_lr and self.schedule != "cosine":
            raise ValueError("final-lr is where the cosine schedule ends; leave it out with another schedule")
        if (self.schedule == "step") != bool(self.milestones):
            raise ValueError("schedule step and milestones go together; give both or neither")
        if self.factors and len(self.factors) != len(self.milestones):
            raise ValueError(f"{len(self.factors)} factors for {len(self.milestones)} milestones; give one each, or none")
        for earlier, later in pairwise(self.milestones) if self.factors else ():
            if later <= earlier:
                raise ValueError(f"milestones go backwards: {later} comes after {earlier}; each factor is of the one beside it")
        if self.nesterov and not (self.optimizer == "sgd" and self.momentum):
            raise ValueError("nesterov needs optimizer sgd and a momentum above 0")


@attrs.frozen(kw_only=True)
class Settings:
    """Options every command that touches a run shares. Of these only arch, dataset and seed decide a run's results."""

    arch: str = opt("conv4", "Network, as NAME or NAME:key=value,key=value.")
    dataset: str = opt("digits", "Data, as NAME or NAME:key=value,key=value.")
    seed: int = opt(0, "Where all random numbers come from.", validator=ge(0))
    data_dir: Path = opt(Path("data"), "Folder of downloaded data sets.")
    runs_dir: Path = opt(Path("runs"), "Folder of results.")
    device: str = opt("auto", "cpu, cuda, cuda:1, mps; auto takes a GPU if there is one.")
    workers: int = opt(4, "Processes that load large images.", validator=ge(0))
    threads: int | None = opt(None, "CPU threads; none given takes all cores.", validator=optional(ge(1)))


@attrs.frozen
class Component:
    """A named function with options.

    ``plugin`` is filled in on loading; ``config`` is an attrs class whose fields come from :func:`opt`; each preset maps
    option names to values. ``readers`` lets ``--config`` take files other than TOML: by suffix, as ``".yml"``, a function
    from the file's text to the options in it and to what the user should be told of them, line by line.
    """

    name: str
    function: Callable[..., Any]
    config: type = NoOptions
    presets: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    plugin: str = ""
    readers: Mapping[str, Callable[[str], tuple[Mapping[str, Any], Sequence[str]]]] = attrs.field(factory=dict)

    kind: ClassVar[str]
    arguments: ClassVar[tuple[str, ...]]

    @property
    def full_name(self) -> str:
        """``plugin/name``, unique among all that is installed."""
        return f"{self.plugin}/{self.name}"

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return (self.function.__doc__ or "").strip().split("\n")[0]


class Model(Component):
    """``function(shape, classes, config) -> torch.nn.Module``.

    ``shape`` is that of one input without the batch axis, ``(channels, height, width)`` for images; the network maps
    ``(n, *shape)`` float32 to ``(n, classes)`` logits. A shape that the architecture does not permit raises
    :class:`~widenet.errors.UsageError` naming the smallest that fits.
    """

    kind = "model"
    arguments = ("shape", "classes", "config")


class Dataset(Component):
    """``function(root, config) -> widenet.data.Data``; ``root`` is the folder given by ``--data-dir``."""

    kind = "dataset"
    arguments = ("root", "config")


class Method(Component):
    """``function(run, net, data, config)``: changes ``net`` (trains, masks, prunes) and may return a dict of results."""

    kind = "method"
    arguments = ("run", "net", "data", "config")


class Analysis(Component):
    """``function(run, net, data, config)``: reads a run and yields flat dicts, the rows of its table."""

    kind = "analysis"
    arguments = ("run", "net", "data", "config")


class Comparison(Analysis):
    """``function(runs, nets, data, config)``: an analysis of several runs at once; yields flat dicts, the rows of its table.

    ``runs`` and ``nets`` are in the order of the command line; a network is made when it is first used. ``data`` is that of
    the first run.
    """

    arguments = ("runs", "nets", "data", "config")


@attrs.frozen
class Export(Component):
    """``function(run, net, path, config)``: writes a finished run's result to the file ``path`` in a form others read.

    ``path`` lies beside the file that was asked for and is given its name when the function returns, so that this is whole or
    absent. ``suffix`` is what that name ends in where the command line gives none.
    """

    suffix: str = ".pt"

    kind = "export"
    arguments = ("run", "net", "path", "config")
