"""``wn sweep METHOD``: a grid of runs, carried out here or by a cluster."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from widenet.cli import completion
from widenet.cli.common import Command, Group, Sectioned
from widenet.cli.launch import ENGINE, engine, engine_options
from widenet.cli.run import lone, run_options
from widenet.cli.stopping import stoppable
from widenet.cli.terminal import print_json, print_rows
from widenet.components import Component, Method
from widenet.errors import UsageError
from widenet.grid import cells, parse, read
from widenet.options import text
from widenet.plugins import Registry

if TYPE_CHECKING:
    from widenet.cli.sweeping import Job
    from widenet.errors import WnError
    from widenet.runs import Run

OWN = ("grid", "file", "jobs", "launch", "scheduler", "slurm", "analyze", "tensorboard", "dry_run", "fresh", "quiet", "json")
"""Options that are the sweep's, not those of its runs."""


class Methods(Group):
    """Every installed method as a sub-command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names a user types."""
        return completion.shown(completion.registry_of(ctx), Method)

    def get_command(self, ctx: click.Context, name: str) -> click.Command:
        """The command for a method, built from its options."""
        return sweep_command(completion.registry_of(ctx).find(Method, name), name)


@click.group(cls=Methods, subcommand_metavar="METHOD --grid KEY=VALUE,VALUE [OPTIONS]")
def sweep() -> None:
    """Carry out a method over a grid of options; again, it skips what is finished and resumes the rest."""


def sweep_command(method: Component, name: str) -> click.Command:
    """``wn sweep NAME`` with the options of ``wn run NAME`` and those of the sweep."""
    params = [
        Sectioned(
            ["--grid"],
            metavar="KEY=VALUE,VALUE",
            multiple=True,
            section="Sweep",
            help="Values of an option of the method, network or data; 0..4 counts; repeatable, every combination is a run.",
        ),
        Sectioned(["--file"], metavar="FILE.toml", type=Path, section="Sweep", help="Options, and the grid in a table [grid]."),
        *[option for option in run_options(method) if option.name not in ("repeats", "stack")],
        *engine_options(),
    ]
    about = (
        f"Carry out {name} over a grid of options.\n\nThe runs are those of single commands, in the same folders. "
        "A run that fails does not stop the others; sweeps of the same runs share the work.\n\n\b\n"
        f"Example:\n  wn sweep {name} --arch conv4 --grid width=0.25,0.5,1 --grid seed=0..4"
    )

    @click.pass_context
    def callback(ctx: click.Context, /, **given: Any) -> None:
        with stoppable():
            front = [word for file in ctx.find_root().params.get("plugin", ()) for word in ("--plugin", str(file))]
            ctx.exit(_sweep(completion.registry_of(ctx), method, given, front))

    return Command(name, params=params, callback=callback, help=about)  # type: ignore[arg-type]


def _sweep(registry: Registry, method: Component, given: dict[str, Any], front: Sequence[str]) -> int:
    from widenet.cli import sweeping

    flags = {key: given.pop(key) for key in OWN}
    for name in flags["analyze"]:
        lone(registry, name)
    grid, given = _layers(flags, given)
    jobs = sweeping.jobs_for(registry, method, given, cells(grid), front)
    status = [sweeping.standing(job) for job in jobs]
    again = flags["fresh"] or bool(flags["analyze"])
    left = [job for job, stands in zip(jobs, status, strict=True) if again or stands != "finished"]
    if flags["launch"] == "print":
        return _print(left, len(jobs), flags)
    carried = engine(jobs[0].plan.settings.runs_dir, **{key: flags[key] for key in ENGINE})
    rows = [_row(job, stands) for job, stands in zip(jobs, status, strict=True)]
    if flags["dry_run"]:
        print_rows(rows, flags["json"])
        return 0
    if not flags["quiet"]:
        with contextlib.redirect_stdout(sys.stderr):  # stdout has the results
            print_rows(rows, as_json=False)
    # Of processes that share this machine each has one thread.
    threads = ["--threads", "1"] if flags["launch"] == "local" and not given.get("threads") else []
    ended = sweeping.carry_out_all(left, carried, flags["quiet"], [*threads, *_extra(flags)])
    found = dict(zip([job.plan.path for job in left], ended, strict=True))
    return _tell([(job, found.get(job.plan.path) or sweeping.opened(job.plan.path)) for job in jobs], flags["json"])


def _extra(flags: Mapping[str, Any]) -> list[str]:
    """Words that say what else is wanted of every run."""
    analyses = [word for name in flags["analyze"] for word in ("--analyze", name)]
    return [*analyses, *(f"--{name}" for name in ("tensorboard", "fresh") if flags[name])]


def _layers(flags: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """The grid, and the options of all runs: those of a file, then those of the command line.

    Raises:
        UsageError: there is no grid, or an option varies in one and is set in the other.
    """
    below, grid = read(flags["file"]) if flags["file"] is not None else ({}, {})
    added = parse(flags["grid"])
    if clash := next((key for key in added if key in grid), None):
        raise UsageError(f"{clash} varies in {flags['file']} and in --grid; leave one of them out")
    grid |= added
    if not grid:
        raise UsageError("the grid is empty; give --grid KEY=VALUE,VALUE, as in --grid width=0.5,1 --grid seed=0..4")
    asked = {("from" if key == "parent" else key): value for key, value in given.items() if value not in (None, ())}
    return grid, {**{key: value for key, value in below.items() if key not in asked}, **asked}


def _print(left: Sequence[Job], total: int, flags: Mapping[str, Any]) -> int:
    """One command a line, of what is left to do."""
    for job in left:
        click.echo(f"wn {shlex.join([*job.words, *_extra(flags)])}")
    if len(left) < total and not flags["quiet"]:
        click.echo(f"{total - len(left)} of {total} runs are finished", err=True)
    return 0


def _row(job: Job, status: str) -> dict[str, Any]:
    values = {key: text(value) for key, value in job.values.items()}
    return {**values, "status": status, "run": f"{job.plan.path.parent.name}/{job.plan.path.name}"}


def _tell(ended: Sequence[tuple[Job, Run | WnError]], as_json: bool) -> int:
    """Print a row a run, and what failed; the exit code."""
    from widenet.runs import Run

    rows = []
    for job, run in ended:
        finished = isinstance(run, Run)
        result = run.record["result"] if isinstance(run, Run) else {}
        more = {"result": result} if as_json else {"test_accuracy": result.get("test_accuracy")}
        error = {"error": "" if finished else str(run)} if as_json else {}
        rows.append({**_row(job, "finished" if finished else "failed"), **more, **error})
    print_rows(rows, as_json=False) if not as_json else print_json({"runs": rows})
    failures = [(job, run) for job, run in ended if not isinstance(run, Run)]
    for job, run in failures:
        click.echo(f"wn: {job.label}: {run}", err=True)
    if failures:
        click.echo(f"wn: {len(failures)} of {len(ended)} runs failed; the same command tries them again", err=True)
    return 1 if failures else 0
