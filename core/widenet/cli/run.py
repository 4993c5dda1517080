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
from widenet.components import Analysis, Comparison, Component, Method, Settings, Train
from widenet.errors import BrokenPlugin, UsageError
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


def run_options(method: Component) -> list[click.Option]:
    """The options of ``wn run METHOD``: the method's own first, then training's, then those of every command."""
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
    return [*own, *click_options(Settings, lambda _: "Common"), *flags]


def method_command(method: Component, name: str) -> click.Command:
    """``wn run NAME``."""
    needed = "".join(f"{option.flag} {option.metavar} " for option in options(method.config) if option.required)
    arch = method.presets.get("check", {}).get("arch", "conv4")
    text = f"{help_text(method.function)}\n\n\b\nExample:\n  wn run {name} {needed}--arch {arch} --dataset digits"

    @click.pass_context
    def callback(ctx: click.Context, /, **given: Any) -> None:
        _refuse_broken(ctx)
        with stoppable(), ranks.one_voice():
            ctx.exit(_run(completion.registry_of(ctx), method, given))

    return Command(name, params=run_options(method), callback=callback, help=text)  # type: ignore[arg-type]


def _refuse_broken(ctx: click.Context) -> None:
    """Refuse to run without a plugin whose file the command names: it may only listen, and would not be missed.

    Raises:
        BrokenPlugin: with the reason.
    """
    files = {str(Path(file)) for file in ctx.find_root().params.get("plugin", ())}
    for plugin in completion.registry_of(ctx).plugins.values():
        if plugin.error and plugin.origin in files:
            raise BrokenPlugin(f"--plugin {plugin.origin} cannot be used ({plugin.error})")


def _run(registry: Registry, method: Component, given: dict[str, Any]) -> int:
    flags = {key: given.pop(key) for key in COMMAND}
    if flags["stack"] is not None and not flags["repeats"]:
        raise UsageError("--stack and --no-stack are for several runs; say how many with --repeats")
    layers = (given.pop("preset"), given.pop("config"))
    config, settings, sources = layered(method, given, *layers, quiet=flags["quiet"])
    analyses = [(found, layered(found, {})[0]) for name in flags["analyze"] for found in [lone(registry, name)]]
    listener = _listener(registry) if flags["tensorboard"] else None

    from widenet.cli import summary
    from widenet.cli.analyze import carry_out_analysis
    from widenet.cli.planning import plan_for
    from widenet.cli.progress import reporter
    from widenet.execute import carry_out

    plan = plan_for(registry, method, config, settings, sources, flags["parent"], sys.argv[1:])
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


def lone(registry: Registry, name: str) -> Component:
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


def _print_json(registry: Registry, run: Run, analyses: Iterable[tuple[Component, Any]], settings: Settings) -> None:
    """One JSON object: the record, and the rows of every analysis asked for."""
    from widenet.analyse import analyse
    from widenet.runs import Reporter

    tables = {a.name: analyse(registry, a, config, [run.path], settings, Reporter())[1] for a, config in analyses}
    print_json({"run": str(run.path), **run.record, **({"analyses": tables} if tables else {})})
