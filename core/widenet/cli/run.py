"""``wn run METHOD``: one command a method, its options taken from the method's class."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from widenet.cli import completion
from widenet.cli.common import Command, Group, Sectioned, click_options, help_text, layer_options, layered
from widenet.cli.stopping import said, stoppable
from widenet.cli.terminal import print_json
from widenet.components import Analysis, Comparison, Component, Dataset, Method, Model, Settings, Train
from widenet.errors import UsageError
from widenet.options import options
from widenet.plugins import Registry
from widenet.runs import ranks

if TYPE_CHECKING:
    from widenet.builtin.tensorboard import TensorBoard
    from widenet.plan import Plan
    from widenet.runs import Run

COMMAND = ("parent", "analyze", "tensorboard", "repeats", "stack", "dry_run", "fresh", "quiet", "json")
"""Options that are the command's own."""


class Methods(Group):
    """Every installed method as a sub-command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names a user types."""
        return completion.shown(completion.registry_of(ctx), Method)

    def get_command(self, ctx: click.Context, name: str) -> click.Command:
        """The command for a method, built from its options."""
        return method_command(completion.registry_of(ctx).find(Method, name), name)


@click.group(cls=Methods, subcommand_metavar="METHOD [OPTIONS]")
def run() -> None:
    """Carry out a method in a run folder; the same command again continues it, or prints its result."""


def method_command(method: Component, name: str) -> click.Command:
    """``wn run NAME`` with the method's own options first, then training's, then those of every command."""
    training = {option.name for option in options(Train)} if issubclass(method.config, Train) else set()
    flags = [
        *layer_options(method),
        Sectioned(["--from", "parent"], metavar="RUN", help="Start from this run's network.", shell_complete=completion.run),
        Sectioned(
            ["--analyze"],
            metavar="NAME",
            multiple=True,
            help="Then carry out this analysis; repeatable.",
            shell_complete=completion.lone_analysis,
        ),
        Sectioned(["--tensorboard"], is_flag=True, help="Also write the metrics for TensorBoard, to RUN/tensorboard."),
        Sectioned(["--repeats"], metavar="INT", type=click.IntRange(1), help="Also from the next seeds, so many runs in all."),
        Sectioned(
            ["--stack/--no-stack"],
            default=None,
            help="Train the repeats as one stacked network, or a process each.  [default: stacked where steps are small]",
        ),
        Sectioned(["--dry-run"], is_flag=True, help="Show options, folder and sizes; run nothing."),
        Sectioned(["--fresh"], is_flag=True, help="Start anew; an earlier run of the same options is moved aside."),
        Sectioned(["--quiet", "-q"], is_flag=True, help="Print the result only."),
        Sectioned(["--json"], is_flag=True, help="The result as JSON."),
    ]
    own = click_options(method.config, lambda name: "Training" if name in training else "Method")
    params = [*own, *click_options(Settings, lambda _: "Common"), *flags]
    needed = "".join(f"{option.flag} {option.metavar} " for option in options(method.config) if option.required)
    arch = method.presets.get("check", {}).get("arch", "conv4")
    text = f"{help_text(method.function)}\n\n\b\nExample:\n  wn run {name} {needed}--arch {arch} --dataset digits"

    @click.pass_context
    def callback(ctx: click.Context, /, **given: Any) -> None:
        with stoppable(), ranks.one_voice():
            ctx.exit(_run(completion.registry_of(ctx), method, given))

    return Command(name, params=params, callback=callback, help=text)  # type: ignore[arg-type]


def _run(registry: Registry, method: Component, given: dict[str, Any]) -> int:
    flags = {key: given.pop(key) for key in COMMAND}
    if flags["stack"] is not None and not flags["repeats"]:
        raise UsageError("--stack and --no-stack are for several runs; say how many with --repeats")
    layers = (given.pop("preset"), given.pop("config"))
    config, settings, sources = layered(method, given, *layers, quiet=flags["quiet"])
    analyses = [(found, layered(found, {})[0]) for name in flags["analyze"] for found in [_lone(registry, name)]]
    listener = _listener(registry) if flags["tensorboard"] else None

    from widenet.cli import summary
    from widenet.cli.analyze import carry_out_analysis
    from widenet.cli.progress import reporter
    from widenet.execute import carry_out

    plan = _plan(registry, method, config, settings, sources, flags["parent"])
    if flags["dry_run"]:
        summary.dry_run(plan, flags["json"])
        return 0
    if flags["repeats"]:
        return _repeat(plan, analyses, flags)
    # What a method prints must not mix with the result on stdout.
    with reporter(flags["quiet"]) as ears, said(plan.path), contextlib.redirect_stdout(sys.stderr):
        done, new = carry_out(plan, ears, flags["fresh"])
    if not ranks.leading():
        return 0
    if not new and not flags["quiet"]:
        click.echo(f"already finished; --fresh would run it anew: {done.path}", err=True)
    if not new and listener is not None:
        listener.finished(done)
    if flags["json"]:
        _print_json(registry, done, analyses, settings)
        return 0
    summary.finished(done)
    for analysis, analysis_config in analyses:
        carry_out_analysis(registry, analysis, analysis_config, [done.path], settings, quiet=flags["quiet"])
    return 0


def _repeat(plan: Plan, analyses: Sequence[tuple[Component, Any]], flags: Mapping[str, Any]) -> int:
    """The plan from several seeds; the exit code."""
    from widenet.analyse import analyse
    from widenet.cli import repeat
    from widenet.runs import Reporter, Run

    ended = repeat.carry_out_all(plan, flags["repeats"], flags["stack"], flags["fresh"], flags["quiet"])

    tables: dict[Path, dict[str, Any]] = {run.path: {} for _, run in ended if isinstance(run, Run)}
    for path in tables:
        for analysis, config in analyses:
            kept, tables[path][analysis.name] = analyse(plan.registry, analysis, config, [path], plan.settings, Reporter())
            if not flags["json"]:
                click.echo(f"{analysis.name}: {kept}")
    return repeat.tell(ended, flags["json"], tables)


def _lone(registry: Registry, name: str) -> Component:
    """The analysis of that name.

    Raises:
        UsageError: unknown, or one that compares several runs.
    """
    analysis = registry.find(Analysis, name)
    if isinstance(analysis, Comparison):
        raise UsageError(f"--analyze {name} compares several runs; when they are done: wn analyze {name} RUN RUN")
    return analysis


def _listener(registry: Registry) -> TensorBoard:
    """What writes metrics for TensorBoard, registered beside the plugins.

    Raises:
        UsageError: TensorBoard is not installed.
    """
    from widenet.builtin import tensorboard

    listener = tensorboard.TensorBoard()
    registry.manager.register(listener, tensorboard.NAME)
    return listener


def _plan(
    registry: Registry, method: Component, config: Any, settings: Settings, sources: dict[str, str], origin: str | None
) -> Plan:
    """The plan for a fresh network, or for that of the run ``origin``, whose data it then takes as well."""
    from widenet.opening import choose, recorded
    from widenet.plan import Plan
    from widenet.runs import Run, find

    parent = Run.open(find(origin, settings.runs_dir)) if origin else None
    # A preset's network and data are those of its experiment, not a wish about this run.
    asked = {field for field in ("arch", "dataset") if not sources.get(field, "preset ").startswith("preset ")}
    if parent is not None and "arch" in asked:
        raise UsageError("--from takes the network of that run; leave --arch out")

    def part(kind: type[Component], field: str) -> tuple[Component, Any]:
        if parent is None or field in asked:
            return choose(registry, kind, getattr(settings, field))
        return recorded(registry, kind, parent.record[field])

    argv = tuple(sys.argv[1:])
    return Plan(registry, method, config, *part(Model, "arch"), *part(Dataset, "dataset"), settings, sources, parent, argv)


def _print_json(registry: Registry, run: Run, analyses: Iterable[tuple[Component, Any]], settings: Settings) -> None:
    """One JSON object: the record, and the rows of every analysis asked for."""
    from widenet.analyse import analyse
    from widenet.runs import Reporter

    tables = {a.name: analyse(registry, a, config, [run.path], settings, Reporter())[1] for a, config in analyses}
    print_json({"run": str(run.path), **run.record, **({"analyses": tables} if tables else {})})
