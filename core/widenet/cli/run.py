"""``wn run METHOD``: one command a method, its options taken from the method's class."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from widenet.cli import completion
from widenet.cli.common import Command, Group, Sectioned, click_options, help_text, layer_options, layered
from widenet.cli.terminal import print_json
from widenet.components import Analysis, Component, Dataset, Method, Model, Settings, Train
from widenet.errors import INTERRUPTED, Stopped, UsageError, WnError
from widenet.options import options
from widenet.plugins import Registry

if TYPE_CHECKING:
    from widenet.execute import Plan
    from widenet.runs import Run


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
            shell_complete=completion.component(Analysis),
        ),
        Sectioned(["--dry-run"], is_flag=True, help="Show options, folder and sizes; run nothing."),
        Sectioned(["--fresh"], is_flag=True, help="Start anew; an earlier run of the same options is moved aside."),
        Sectioned(["--quiet", "-q"], is_flag=True, help="Print the result only."),
        Sectioned(["--json"], is_flag=True, help="The result as JSON."),
    ]
    own = click_options(method.config, lambda name: "Training" if name in training else "Method")
    params = [*own, *click_options(Settings, lambda _: "Common"), *flags]
    text = f"{help_text(method.function)}\n\n\b\nExample:\n  wn run {name} --arch conv4 --dataset digits"

    @click.pass_context
    def callback(ctx: click.Context, /, **given: Any) -> None:
        with stoppable():
            _run(completion.registry_of(ctx), method, given)

    return Command(name, params=params, callback=callback, help=text)  # type: ignore[arg-type]


def _run(registry: Registry, method: Component, given: dict[str, Any]) -> None:
    flags = {key: given.pop(key) for key in ("parent", "analyze", "dry_run", "fresh", "quiet", "json")}
    config, settings, sources = layered(method, given, given.pop("preset"), given.pop("config"))
    analyses = [(found, layered(found, {})[0]) for name in flags["analyze"] for found in [registry.find(Analysis, name)]]

    from widenet.cli import summary
    from widenet.cli.analyze import carry_out_analysis
    from widenet.cli.progress import reporter
    from widenet.execute import carry_out

    plan = _plan(registry, method, config, settings, sources, flags["parent"])
    if flags["dry_run"]:
        summary.dry_run(plan, flags["json"])
        return
    # What a method prints must not mix with the result on stdout.
    with reporter(flags["quiet"]) as ears, said(plan.path), contextlib.redirect_stdout(sys.stderr):
        done, new = carry_out(plan, ears, flags["fresh"])
    if not new and not flags["quiet"]:
        click.echo(f"already finished; --fresh would run it anew: {done.path}", err=True)
    if flags["json"]:
        _print_json(registry, done, analyses, settings)
        return
    summary.finished(done)
    for analysis, analysis_config in analyses:
        carry_out_analysis(registry, analysis, analysis_config, done.path, settings, quiet=flags["quiet"])


def _plan(
    registry: Registry, method: Component, config: Any, settings: Settings, sources: dict[str, str], origin: str | None
) -> Plan:
    """The plan for a fresh network, or for that of the run ``origin``, whose data it then takes as well."""
    from widenet.execute import Plan
    from widenet.opening import choose, recorded
    from widenet.runs import Run, find

    parent = Run.open(find(origin, settings.runs_dir)) if origin else None
    if parent is not None and "arch" in sources:
        raise UsageError("--from takes the network of that run; leave --arch out")

    def part(kind: type[Component], field: str) -> tuple[Component, Any]:
        if parent is None or field in sources:
            return choose(registry, kind, getattr(settings, field))
        return recorded(registry, kind, parent.record[field])

    argv = tuple(sys.argv[1:])
    return Plan(registry, method, config, *part(Model, "arch"), *part(Dataset, "dataset"), settings, sources, parent, argv)


def _print_json(registry: Registry, run: Run, analyses: Iterable[tuple[Component, Any]], settings: Settings) -> None:
    """One JSON object: the record, and the rows of every analysis asked for."""
    from widenet.analyse import analyse
    from widenet.runs import Reporter

    tables = {a.name: analyse(registry, a, config, run.path, settings, Reporter())[1] for a, config in analyses}
    print_json({"run": str(run.path), **run.record, **({"analyses": tables} if tables else {})})


class Interrupted(WnError):
    """Ctrl-C: the last finished epoch is safe."""

    exit_code = INTERRUPTED


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Turn SIGTERM and SIGUSR1, a scheduler's notice of the end, into :class:`Stopped`; say how to go on, also after Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGTERM, signal.SIGUSR1)

    def stop(number: int, _: Any) -> None:
        # A second notice must not break the record of the first.
        for other in signals:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield
    except Stopped as error:
        error.args = (f"{error}; the last finished epoch is safe, to continue: {again()}",)
        raise
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; to continue: {again()}") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def again() -> str:
    """The command that continues this one: the same, but it must not start anew."""
    return f"wn {shlex.join(word for word in sys.argv[1:] if word != '--fresh')}"


@contextlib.contextmanager
def said(path: Path) -> Iterator[None]:
    """Add the run's folder to what a failure says, where there is one and it is not named."""
    try:
        yield
    except WnError as error:
        if not isinstance(error, (Stopped, UsageError)) and path.exists() and str(path) not in str(error):
            error.args = (f"{error} [{path}]",)
        raise
