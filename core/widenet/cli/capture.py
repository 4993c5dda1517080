"""``wn capture RUN --layers PATTERN``: what a run's layers put out, kept for any analysis to read."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import attrs
import click
from attrs.validators import ge, min_len

from widenet.cli import completion
from widenet.cli.common import Command, Sectioned, click_options, settings_options
from widenet.cli.terminal import print_json, print_rows
from widenet.components import Settings, opt
from widenet.errors import UsageError
from widenet.options import COMMAND_LINE, build, resolve

if TYPE_CHECKING:
    from widenet.plugins import Registry

SETTINGS = ("data_dir", "runs_dir", "device", "workers", "threads")
HELP = """Keep what a run's layers put out, in HDF5 in the run's folder, for any analysis and any program to read.

A pattern takes * and ?, and `fc:input` means what the layer fc is given. Cut short, the same command goes on where it was.

\b
Example:
  wn capture RUN --layers '*.bn2,fc:input' --split train,test
"""


@attrs.frozen(kw_only=True)
class Options:
    """Options of ``wn capture``."""

    layers: tuple[str, ...] = opt(help="Modules, by path or pattern.", validator=min_len(1))
    split: tuple[Literal["train", "test", "val"], ...] = opt(("test",), "Samples to read.", validator=min_len(1))
    reduction: Literal["mean", "max", "flatten", "none"] = opt(
        "mean", "A unit's value over its places (pixels, tokens); flatten makes each place a unit, none keeps the shape."
    )
    dtype: Literal["float32", "float16"] = opt("float32", "Type of the kept numbers.")
    per_class: int = opt(0, "Samples of each class, drawn at random; 0 takes all.", validator=ge(0))
    tag: str = opt("final", "Weights to use: final, best, init, epoch-0002, ... as the run saved them.")
    batch_size: int = opt(256, "Samples at a time.", validator=ge(1))


PARAMS: list[click.Parameter] = [
    click.Argument(["run"], shell_complete=completion.run),
    *click_options(Options, lambda _: "Capture"),
    *settings_options(SETTINGS),
    Sectioned(["--dry-run"], is_flag=True, help="Show layers and sizes; capture nothing."),
    Sectioned(["--quiet", "-q"], is_flag=True, help="No words on stderr."),
    Sectioned(["--json"], is_flag=True, help="Layers and files as JSON."),
]


@click.command("capture", cls=Command, params=PARAMS, help=HELP)
@click.pass_context
def capture(ctx: click.Context, /, run: str, dry_run: bool, quiet: bool, json: bool, **given: Any) -> None:
    """Capture each split, and say what there is."""
    from widenet.cli.progress import reporter

    values = {name: value for name, value in given.items() if value is not None}
    common = {name: values.pop(name) for name in SETTINGS if name in values}
    settings = build(Settings, resolve(Settings, common, COMMAND_LINE), "capture")
    options = build(Options, resolve(Options, values, COMMAND_LINE), "capture")
    with reporter(quiet) as ears, contextlib.redirect_stdout(sys.stderr):
        rows = list(_captured(completion.registry_of(ctx), run, options, settings, ears, dry_run))
    if json:
        print_json(rows)
    else:
        print_rows(rows, as_json=False)


def _captured(
    registry: Registry, name: str, options: Options, settings: Settings, ears: Any, dry_run: bool
) -> Iterator[dict[str, Any]]:
    """Capture what is wanted, split by split; a row for each layer of each."""
    from widenet import opening
    from widenet.runs import Run, find

    run = Run.open(find(name, settings.runs_dir), reporter=ears, registry=registry)
    if not (weights := run.path / "weights" / f"{options.tag}.pt").is_file():
        saved = ", ".join(sorted(path.stem for path in weights.parent.glob("*.pt"))) or "none yet"
        raise UsageError(f"{run.name} has no weights {options.tag!r}; it saved {saved} (--save-every and --save-at save more)")
    # Not before there is a run: they load torch.
    from widenet.capture import Wanted, matching, size_of
    from widenet.capture import capture as keep
    from widenet.train.process import tune_process

    tune_process(settings.threads)
    run.device = opening.device(settings.device)
    net = opening.network(registry, run, options.tag).to(run.device).eval()
    layers = tuple(matching(net, options.layers))
    data = opening.dataset(registry, run, settings.data_dir, settings.workers, run.device)
    reduction, dtype = options.reduction, options.dtype
    for split in options.split:
        wanted = Wanted(layers=layers, split=split, reduction=reduction, dtype=dtype, per_class=options.per_class)
        if dry_run:
            size = size_of(run, net, data, wanted)
            shapes, path = {layer: (size["samples"], *shape) for layer, shape in size["layers"].items()}, ""
        else:
            kept = keep(run, net, data, wanted, options.batch_size)
            shapes, path = {layer: kept.shape(layer) for layer in layers}, str(kept.path)
        for layer, shape in shapes.items():
            yield {"split": split, "layer": layer, "shape": list(shape), "bytes": _bytes(shape, options.dtype), "file": path}


def _bytes(shape: tuple[int, ...], dtype: str) -> int:
    size = 2 if dtype == "float16" else 4
    for length in shape:
        size *= length
    return size
