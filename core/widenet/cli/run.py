"""``wn run METHOD``: one command a method, its options taken from the method's class."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from widenet.cli import summary
from widenet.cli.common import Command, Sectioned, click_options, complete_run, layered
from widenet.cli.terminal import Bar, Lines, print_json
from widenet.components import Analysis, Component, Dataset, Method, Model, Settings, Train
from widenet.errors import Stopped, UsageError, WnError
from widenet.options import effective, options
from widenet.plugins import Registry
from widenet.runs import Reporter, Run
from widenet.runs.folders import find


class Methods(click.Group):
    """Every installed method as a sub-command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names a user types."""
        registry = ctx.find_object(Registry)
        return [registry.shown(method) for method in registry.components(Method)] if registry else []

    def get_command(self, ctx: click.Context, name: str) -> click.Command:
        """The command for a method, built from its options."""
        registry = ctx.find_object(Registry)
        assert registry is not None
        return method_command(registry.find(Method, name), name)


@click.group(cls=Methods, subcommand_metavar="METHOD [OPTIONS]")
def run() -> None:
    """Carry out a method in a run folder; the same command again continues it, or prints its result."""


def method_command(method: Component, name: str) -> click.Command:
    """``wn run NAME`` with the method's own options first, then training's, then those of every command."""
    training = {option.name for option in options(Train)} if issubclass(method.config, Train) else set()

    def section(option: str) -> str:
        return "Training" if option in training and method.config is not Train else "Method"

    flags = [
        Sectioned(["--preset"], metavar="NAME", help=_presets(method), shell_complete=_complete_preset(method)),
        Sectioned(["--config"], metavar="FILE.toml", help="Options from a file, as lines like epochs = 5."),
        Sectioned(["--from", "parent"], metavar="RUN", help="Start from this run's network.", shell_complete=complete_run),
        Sectioned(["--analyze"], metavar="NAME", multiple=True, help="Then carry out this analysis; repeatable."),
        Sectioned(["--dry-run"], is_flag=True, help="Show options, folder and sizes; do nothing."),
        Sectioned(["--fresh"], is_flag=True, help="Start anew; an earlier run of the same options is moved aside."),
        Sectioned(["--quiet", "-q"], is_flag=True, help="No progress."),
        Sectioned(["--json"], is_flag=True, help="The result as JSON."),
    ]
    own = sorted(click_options(method.config, section), key=lambda option: option.section == "Training")  # type: ignore[attr-defined]
    params = [*own, *click_options(Settings, lambda _: "Common"), *flags]
    text = f"{method.function.__doc__ or ''}\n\n\b\nExample:\n  wn run {name} --arch conv4 --dataset digits"

    @click.pass_context
    def callback(ctx: click.Context, /, **given: Any) -> None:
        registry = ctx.find_object(Registry)
        assert registry is not None
        _run(registry, method, given)

    return Command(name, params=params, callback=callback, help=text, short_help=method.summary)  # type: ignore[arg-type]


def _run(registry: Registry, method: Component, given: dict[str, Any]) -> None:
    flags = {key: given.pop(key) for key in ("parent", "analyze", "dry_run", "fresh", "quiet", "json")}
    config, settings, sources = layered(method, given, given.pop("preset"), given.pop("config"))
    analyses = [registry.find(Analysis, name) for name in flags["analyze"]]
    parent = Run.open(find(flags["parent"], settings.runs_dir)) if flags["parent"] else None

    from widenet.execute import Plan, carry_out
    from widenet.opening import choose

    parts: dict[str, tuple[Component, Any]] = {}
    for kind, field in ((Model, "arch"), (Dataset, "dataset")):
        if parent is not None and field not in sources:
            from widenet.opening import recorded

            parts[field] = recorded(registry, kind, parent.record[field])
        elif parent is not None and field == "arch":
            raise UsageError("--from takes the network of that run; leave --arch out")
        else:
            parts[field] = choose(registry, kind, getattr(settings, field))
    argv = tuple(sys.argv[1:])
    plan = Plan(registry, method, config, *parts["arch"], *parts["dataset"], settings, sources, parent, argv)
    if flags["dry_run"]:
        summary.dry_run(plan, flags["json"])
        return
    with reporter(flags["quiet"]) as ears, stoppable(), said(plan.path):
        done, new = carry_out(plan, ears, flags["fresh"])
    if not new and not flags["quiet"]:
        click.echo(f"already finished; --fresh would run it anew: {done.path}", err=True)
    if flags["json"]:
        print_json({"run": str(done.path), **done.record})
    else:
        summary.finished(done)
    from widenet.cli.analyze import carry_out_analysis

    for analysis in analyses:
        analysis_config, _, _ = layered(analysis, {}, None, None)
        carry_out_analysis(registry, analysis, analysis_config, done.path, settings, quiet=flags["quiet"])


@contextlib.contextmanager
def reporter(quiet: bool) -> Iterator[Reporter]:
    """Nothing, a live bar on a terminal, or a line an epoch."""
    if quiet:
        yield Reporter()
    elif sys.stderr.isatty():
        with Bar() as bar:
            yield bar
    else:
        yield Lines()


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Turn SIGTERM and SIGUSR1 into :class:`Stopped`: a scheduler's notice that the process will be killed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: Any) -> None:
        raise Stopped(number)

    signals = (signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def said(path: Path) -> Iterator[None]:
    """Add the command that continues the run to what a stop says."""
    try:
        yield
    except Stopped as error:
        error.args = (f"{error}; the last finished epoch is safe, to continue: wn {shlex.join(sys.argv[1:])}",)
        raise
    except WnError as error:
        if not isinstance(error, UsageError):
            error.args = (f"{error} [{path}]",)
        raise


def _presets(method: Component) -> str:
    return f"A named set of options: {', '.join(method.presets)}." if method.presets else "A named set of options (none here)."


def _complete_preset(method: Component) -> Any:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        return [name for name in method.presets if name.startswith(incomplete)]

    return complete


__all__ = ["effective", "run"]
